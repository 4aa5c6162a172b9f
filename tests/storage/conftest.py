from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from jangteo import demo
from jangteo.storage.urls import open_storage
from tests.postgres import EMPTY_SHOP, Server
from tests.storage.damage import NOW
from tests.storage.shops import Shop


@pytest.fixture
def kept(database: str) -> Iterator[Shop]:
    """A small shop, not served by anyone, on either kind of database."""
    with closing(Shop(database)) as shop:
        shop.set_up()
        yield shop


@pytest.fixture(scope="session")
def demo_file(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("demo") / "demo.db"
    shutil.copy(empty_database, path)
    assert demo.fill(open_storage(f"sqlite:///{path}"), lambda: NOW)
    return path


@pytest.fixture(scope="session")
def postgres_demo_template(postgres: Server) -> str:
    """The URL of a demo shop to be copied, and not to be changed."""
    url = postgres.create("demo", EMPTY_SHOP)
    assert demo.fill(open_storage(url), lambda: NOW)
    return url


@pytest.fixture
def sqlite_demo(demo_file: Path, tmp_path: Path) -> str:
    return f"sqlite:///{shutil.copy(demo_file, tmp_path / 'demo.db')}"


@pytest.fixture
def postgres_demo(postgres: Server, postgres_demo_template: str) -> Iterator[str]:
    yield postgres.create("damaged", "demo")
    postgres.drop("damaged")


@pytest.fixture(params=["sqlite", "postgres"])
def demo_database(request: pytest.FixtureRequest) -> str:
    """The demo shop, to be damaged."""
    url: str = request.getfixturevalue(f"{request.param}_demo")
    return url
