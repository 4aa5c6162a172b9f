"""The database or the writer stands still: clients get 503 within the deadline, and all goes on afterwards."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from time import monotonic
from uuid import uuid4

import httpx
import psycopg
import pytest

from jangteo.app import system_clock
from jangteo.engine.deadlines import Timeouts
from jangteo.engine.reads import Reads
from jangteo.settings import Settings
from jangteo.storage import wallets
from jangteo.storage.errors import CannotOpen, Unavailable
from jangteo.storage.port import DATABASE_TIMEOUT_S, Query
from jangteo.storage.urls import open_storage
from tests.faults.test_workers import children_of
from tests.postgres import Server, running_server
from tests.serving import Http, ServedShop, ServerProcess, audit, serve_in_process, serve_in_thread

TIMEOUT_S = 1.5
LATEST_S = TIMEOUT_S + 2
ENDS_WITHIN_S = 10
"""After the drain, as docs/operations.md says."""
HOST_ENDS_WITHIN_S = 14
"""The same with several processes."""
BUSY_S = 4
"""What the processes of a busy machine may take to end."""
CLOSED = "Closed. Every acknowledged change is on disk."
WRITER = "jangteo.engine.writer"


def timed(call: Callable[[], httpx.Response]) -> tuple[int, float]:
    started_at = monotonic()
    return call().status_code, monotonic() - started_at


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server() as running:
        yield running
        running.thaw()


@pytest.fixture
def frozen_shop(server: Server, tmp_path: Path) -> Iterator[tuple[ServedShop, str]]:
    """A shop whose server can be frozen, and its database's URL."""
    url = server.create(f"shop_{uuid4().hex}")
    platform = f"file:{tmp_path / 'events'}"
    shop = serve_in_thread(
        Settings(database=url, writer="thread", platform=platform, database_timeout_s=TIMEOUT_S, hold_s=TIMEOUT_S)
    )
    yield shop, url
    server.thaw()
    shop.close()


def test_writes_and_reads_get_503_while_the_server_is_frozen_and_go_on_afterwards(
    server: Server, frozen_shop: tuple[ServedShop, str]
) -> None:
    shop, _ = frozen_shop
    user = shop.http.user(100)
    assert shop.http.get(f"/users/{user}/balance").status_code == 200
    server.freeze()
    calls: list[Callable[[], httpx.Response]] = [
        lambda: shop.http.post(f"/users/{user}/balance", json={"amount": 1}),
        lambda: shop.http.get(f"/users/{user}/balance"),
        lambda: shop.http.get("/products"),
        lambda: shop.http.get("/products/top"),
        lambda: shop.http.get("/health/ready"),
    ]
    for _ in range(2):
        # The first round loses its connections; the second one can't open any.
        with ThreadPoolExecutor(10) as clients:
            answers = list(clients.map(timed, calls + calls))
        assert {status for status, _ in answers} == {503}
        assert max(took_s for _, took_s in answers) < LATEST_S
    assert shop.http.get("/health/live").status_code == 200
    server.thaw()
    wait_until_ready(shop.http)
    balance = shop.http.get(f"/users/{user}/balance").json()["balance"]
    assert shop.http.post(f"/users/{user}/balance", json={"amount": 5}).json()["balance"] == balance + 5


def test_commands_that_waited_too_long_are_never_executed(server: Server, frozen_shop: tuple[ServedShop, str]) -> None:
    shop, url = frozen_shop
    user = shop.http.user(100)
    server.freeze()
    with ThreadPoolExecutor(4) as clients:
        # The first is under way when the others arrive.
        first = clients.submit(shop.http.get, "/health/ready")
        while not shop.shop.commands._writer.unanswered:
            shop.http.get("/health/live")
        others = [clients.submit(shop.http.post, f"/users/{user}/balance", json={"amount": 10}) for _ in range(3)]
        assert {each.result().status_code for each in (first, *others)} == {503}
    server.thaw()
    wait_until_ready(shop.http)
    with psycopg.connect(url) as raw:
        assert raw.execute("SELECT balance FROM users WHERE id = %s", [user]).fetchone() == (100,)


def test_a_server_that_is_frozen_from_the_start_is_one_line(server: Server) -> None:
    url = server.create(f"shop_{uuid4().hex}")
    server.freeze()
    started_at = monotonic()
    with pytest.raises(CannotOpen, match="can't be used"):
        open_storage(url).prepare()
    assert monotonic() - started_at < DATABASE_TIMEOUT_S + 2
    server.thaw()
    open_storage(url).prepare()


@pytest.mark.parametrize("database", ["sqlite", "postgres"], indirect=True)
def test_a_stopped_writer_process_is_503_for_its_clients_until_it_continues(database: str) -> None:
    server = serve_in_process(database, "--database-timeout", str(TIMEOUT_S), "--platform", "none")
    writer = writer_of(server)
    with Http(base_url=server.address, timeout=30) as http:
        user = http.user(100)
        os.kill(writer, signal.SIGSTOP)
        with ThreadPoolExecutor(4) as clients:
            answers = [
                clients.submit(timed, lambda: http.post(f"/users/{user}/balance", json={"amount": 1})) for _ in range(4)
            ]
            assert [each.result()[0] for each in answers] == [503] * 4
            assert max(each.result()[1] for each in answers) < LATEST_S
        assert http.get(f"/users/{user}/balance").json() == {"balance": 100}, "reads go on"
        os.kill(writer, signal.SIGCONT)
        wait_until_ready(http)
        # What had waited longer than the deadline was not executed late.
        assert http.get(f"/users/{user}/balance").json() == {"balance": 100}
    assert server.interrupt()[0] == 0
    assert audit(database).returncode == 0


@pytest.mark.long
@pytest.mark.parametrize("database", ["sqlite", "postgres"], indirect=True)
def test_a_terminated_server_whose_writer_stands_still_kills_it_and_ends_in_time(database: str) -> None:
    server = serve_in_process(database, "--platform", "none")
    writer = writer_of(server)
    os.kill(writer, signal.SIGSTOP)
    code, lines = terminate_during_a_charge(server)
    assert (code, lines[-1]) == (0, CLOSED)
    assert lines[-2].startswith("The writer stood still and was killed")
    assert not Path(f"/proc/{writer}").exists()
    assert audit(database).returncode == 0


@pytest.mark.long
def test_terminated_workers_of_which_a_writer_stands_still_end_in_time(postgres_database: str) -> None:
    server = serve_in_process(postgres_database, "--workers", "2", "--platform", "none")
    with httpx.Client(base_url=server.address, timeout=60) as http:
        wait_until_ready(http)
    (writer,) = children_of(server.process.pid, WRITER)
    os.kill(writer, signal.SIGSTOP)
    code, lines = terminate_during_a_charge(server, HOST_ENDS_WITHIN_S)
    assert (code, lines[-1]) == (0, CLOSED)
    assert lines[-2].startswith("The writer stood still and was killed")


@pytest.mark.long
@pytest.mark.parametrize("role", ["front-end", "keeper"])
def test_a_terminated_host_ends_in_time_though_one_of_its_processes_stands_still(
    sqlite_database: str, tmp_path: Path, role: str
) -> None:
    server = serve_in_process(sqlite_database, "--workers", "2", "--platform", f"file:{tmp_path / 'events'}")
    with httpx.Client(base_url=server.address, timeout=60) as http:
        wait_until_ready(http)
    stopped = min(children_of(server.process.pid, role))
    os.kill(stopped, signal.SIGSTOP)
    terminated_at = monotonic()
    server.process.send_signal(signal.SIGTERM)
    code, printed = server.wait()
    assert monotonic() - terminated_at < HOST_ENDS_WITHIN_S + BUSY_S
    assert (code, printed.splitlines()[-1]) == (0, CLOSED)
    assert not Path(f"/proc/{stopped}").exists()
    assert audit(sqlite_database).returncode == 0


@pytest.mark.long
@pytest.mark.parametrize("writer", ["process", "thread"])
def test_a_server_whose_database_is_frozen_ends_in_time(server: Server, writer: str) -> None:
    url = server.create(f"shop_{uuid4().hex}")
    shop = serve_in_process(url, "--writer", writer)
    with httpx.Client(base_url=shop.address, timeout=60) as http:
        wait_until_ready(http)
    server.freeze()
    code, lines = terminate_during_a_charge(shop)
    server.thaw()
    assert (code, lines[-1]) == (0, CLOSED)
    assert lines[-2].startswith("The writer stood still and ")


def terminate_during_a_charge(server: ServerProcess, within_s: float = ENDS_WITHIN_S) -> tuple[int, list[str]]:
    """Terminate a server that can't answer a charge; returns its exit code and what it printed, if it ends in time."""
    with Http(base_url=server.address, timeout=30) as http, ThreadPoolExecutor(1) as clients:
        charge = clients.submit(http.post, "/users", json={})
        http.get("/health/live")
        terminated_at = monotonic()
        server.process.send_signal(signal.SIGTERM)
        code, printed = server.wait()
        assert monotonic() - terminated_at < within_s + BUSY_S
        with suppress(httpx.TransportError):
            assert charge.result().status_code == 503
    return code, printed.splitlines()


def test_a_read_that_hangs_is_503_and_the_pool_can_be_stopped(sqlite_database: str) -> None:
    """A file system that hangs can't be interrupted: the thread is left behind."""
    storage = open_storage(sqlite_database)

    release, released = threading.Event(), threading.Event()

    def hang(_: object) -> None:
        assert release.wait(30)
        released.set()

    async def scenario() -> None:
        reads = Reads(storage, system_clock, threads=1, batch_max=9, queue_max=9, timeouts=Timeouts(0.2, 0.2))
        reads.start()
        with pytest.raises(Unavailable, match="not answered in time"):
            await reads.run(Query(hang))
        with pytest.raises(Unavailable, match="not answered in time"):
            await reads.run(Query(wallets.read_balance, (1,)))
        await reads.stop(0.2)

    asyncio.run(scenario())
    assert not released.is_set()
    release.set()
    for thread in threading.enumerate():
        if thread.name.startswith("read-"):
            thread.join()


def wait_until_ready(http: httpx.Client) -> None:
    give_up_at = monotonic() + 30
    while http.get("/health/ready").status_code != 200:
        assert monotonic() < give_up_at


def writer_of(server: ServerProcess) -> int:
    """The id of the server's writer process, once the server has started."""
    with httpx.Client(base_url=server.address) as http:
        wait_until_ready(http)
    process_id = server.process.pid
    (writer,) = Path(f"/proc/{process_id}/task/{process_id}/children").read_text().split()
    return int(writer)
