"""Fixtures for all tests: databases of both kinds, and shops served by a thread of this process."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings

from jangteo import __version__
from jangteo.api.documentation import pages
from jangteo.api.routes import ROUTES
from jangteo.redaction import redaction
from jangteo.settings import Settings
from jangteo.storage.urls import open_storage
from tests.memory import use_memory
from tests.postgres import EMPTY_SHOP, Server, running_server
from tests.serving import STARTED, ServedShop, serve_in_thread

settings.register_profile("shop", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
settings.load_profile("shop")
use_memory()
# Ctrl-C is a part of what is tested. A shell that starts tests in the background has it ignored, which is inherited.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Starts the long tests first, so that none of them is left for the end while the other processes idle."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite database; tests copy it."""
    path = tmp_path_factory.mktemp("template") / "empty.db"
    storage = open_storage(f"sqlite:///{path}")
    storage.prepare()
    storage.close()
    return path


@pytest.fixture(scope="session", autouse=True)
def documentation_rendered_once() -> Iterator[None]:
    """Render the documentation once per process, as a server does: it is half of what a shop's start takes."""
    rendered = pages(ROUTES, __version__)
    with patch("jangteo.app.pages", lambda *_: rendered):
        yield


@pytest.fixture(autouse=True)
def end_server_processes() -> Iterator[None]:
    """End the server processes that a failing test has left running."""
    yield
    while STARTED:
        STARTED.pop().kill()


@pytest.fixture(autouse=True)
def hide_nothing() -> Iterator[None]:
    """Forget the secrets of one test before the next: they are those of a process, and tests share one."""
    yield
    redaction.clear()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A PostgreSQL server with an empty shop; tests copy it."""
    with running_server() as server:
        open_storage(server.create(EMPTY_SHOP)).prepare()
        yield server


@pytest.fixture
def sqlite_database(empty_database: Path, tmp_path: Path) -> str:
    """The URL of an empty shop on SQLite."""
    path = tmp_path / "shop.db"
    shutil.copy(empty_database, path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgres_database(postgres: Server) -> Iterator[str]:
    """The URL of an empty shop on PostgreSQL."""
    name = f"shop_{uuid4().hex}"
    yield postgres.create(name, template=EMPTY_SHOP)
    postgres.drop(name)


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> str:
    """The URL of an empty shop. A test that uses it runs once on SQLite and once on PostgreSQL."""
    url: str = request.getfixturevalue(f"{request.param}_database")
    return url


@pytest.fixture
def open_shop(database: str, tmp_path: Path) -> Iterator[Callable[..., ServedShop]]:
    """Serve the database in this process. Shops are closed after the test."""
    opened: list[ServedShop] = []

    defaults = {"database": database, "writer": "thread", "platform": f"file:{tmp_path / 'shop.events.jsonl'}"}

    def open_one(**changes: object) -> ServedShop:
        shop = serve_in_thread(Settings(**{**defaults, **changes}))  # type: ignore[arg-type]  # keyword arguments by name
        opened.append(shop)
        return shop

    yield open_one
    for shop in opened:
        shop.close()


@pytest.fixture
def shop(open_shop: Callable[..., ServedShop]) -> ServedShop:
    """An empty shop, served over HTTP."""
    return open_shop()
