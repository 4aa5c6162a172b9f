"""A rolling upgrade on PostgreSQL: under load, the version before goes on beside the next, and restarts beside it."""

from __future__ import annotations

import asyncio
import io
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from jangteo.storage import migrations
from tests.faults.customers import Customers, wait_until_published
from tests.postgres import Server, free_port
from tests.serving import ServerProcess, audit, serve_in_process

ROOT = Path(__file__).parents[2]
BEFORE = "a406402849ce68410e5a1498c92b8828e4d22d8c"
"""A commit of schema revision jangteo_5."""
NAME = "rolling"


@pytest.fixture(scope="module")
def sources_before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources of the version before."""
    archive = subprocess.run(["git", "archive", BEFORE, "src"], cwd=ROOT, capture_output=True, check=False)
    if archive.returncode != 0:
        pytest.skip(f"the repository's history lacks commit {BEFORE}: {archive.stderr.decode().strip()}")
    folder = tmp_path_factory.mktemp("before")
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as sources:
        sources.extractall(folder, filter="data")
    return folder / "src"


@pytest.fixture
def database(postgres: Server) -> Iterator[str]:
    """The URL of a database without tables."""
    yield postgres.create(NAME)
    postgres.drop(NAME)


def revisions(database: str) -> tuple[str, str]:
    with psycopg.connect(database) as raw:
        ((ours, before),) = raw.execute(
            "SELECT jangteo_version.version_num, alembic_version.version_num FROM jangteo_version, alembic_version"
        ).fetchall()
    return str(ours), str(before)


@pytest.mark.long
def test_the_version_before_goes_on_beside_the_next_and_restarts(
    database: str, sources_before: Path, tmp_path: Path
) -> None:
    ports = [free_port(), free_port(), free_port()]
    addresses = [f"http://127.0.0.1:{port}" for port in ports]
    files = [tmp_path / f"events-{number}.jsonl" for number in range(3)]

    def start(number: int, sources: Path | None) -> ServerProcess:
        options = ("--port", str(ports[number]), "--platform", f"file:{files[number]}")
        return serve_in_process(database, *options, sources=sources)

    before = [start(number, sources_before) for number in (0, 1)]
    customers = Customers(addresses, with_keys=8, without_keys=0, servers_close=True)
    servers: list[ServerProcess] = []

    async def upgrade() -> None:
        async with customers.shopping():
            await customers.more_answers(100)
            # The next version migrates while both others serve.
            servers.append(await asyncio.to_thread(start, 2, None))
            await customers.more_answers(100)
            # One of before restarts after the migration, and the other is replaced.
            await asyncio.to_thread(before[0].interrupt)
            servers.append(await asyncio.to_thread(start, 0, sources_before))
            await customers.more_answers(100)
            await asyncio.to_thread(before[1].interrupt)
            servers.append(await asyncio.to_thread(start, 1, None))
            await customers.more_answers(100)

    asyncio.run(upgrade())
    assert revisions(database) == (migrations.newest(), "jangteo_4")
    served = {address for (address, status), count in customers.responses.items() if status == 201 and count > 5}
    assert served == set(addresses), customers.responses
    for server in servers:
        customers.check_balances_and_orders(server.address)
    wait_until_published(files, customers.orders)
    for server in servers:
        assert server.interrupt()[0] == 0
    audited = audit(database)
    assert audited.returncode == 0, audited.stdout
