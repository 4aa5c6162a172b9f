"""SIGTERM drains a server, one process or several workers: it answers everything, is not ready, and then ends."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import get_args

import pytest

from jangteo.storage.port import Cost
from tests.faults.test_workers import answers, wait_until, workers_of
from tests.serving import Http, ServerProcess, serve_in_process

DRAIN_S = 2
ENDLESS = ("--drain", "3600")
CLOSED = "Closed. Every acknowledged change is on disk."
Serve = Callable[..., ServerProcess]


@pytest.fixture(params=[1, 2], ids=["one-process", "two-workers"])
def serve(request: pytest.FixtureRequest, tmp_path: Path) -> Serve:
    """Starts a server: one process on SQLite, or two workers on PostgreSQL."""
    workers: int = request.param
    database: str = request.getfixturevalue("sqlite_database" if workers == 1 else "postgres_database")
    platform = f"file:{tmp_path / 'events.jsonl'}"
    return lambda *options: serve_in_process(database, "--workers", str(workers), "--platform", platform, *options)


def started(server: ServerProcess) -> ServerProcess:
    """Wait until a server is ready. On a busy machine its first check may take too long."""
    wait_until(lambda: answers(server.address))
    return server


def is_draining(server: ServerProcess) -> bool:
    """Whether every process of a server says so: of two workers either may take a connection."""
    with Http(base_url=server.address, timeout=60) as http:
        return all(http.get("/health/ready").json().get("type") == "/problems/draining" for _ in range(12))


def has_opened(process_id: int) -> bool:
    """Whether a front end has its threads that read: its shop is open then, and SIGTERM is its own."""
    return len(list(Path(f"/proc/{process_id}/task").iterdir())) > len(get_args(Cost))


def terminate(server: ServerProcess) -> None:
    server.process.send_signal(signal.SIGTERM)


@pytest.mark.long
def test_a_terminated_server_ends_after_the_drain(serve: Serve) -> None:
    server = started(serve("--drain", str(DRAIN_S)))
    terminated_at = monotonic()
    terminate(server)
    code, printed = server.wait()
    assert monotonic() - terminated_at >= DRAIN_S
    assert (code, printed.strip().endswith(CLOSED)) == (0, True)


@pytest.mark.long
def test_a_terminated_server_answers_during_the_drain_until_it_is_interrupted(serve: Serve) -> None:
    server = started(serve(*ENDLESS))
    with Http(base_url=server.address, timeout=60) as http:
        user = http.user()
        terminate(server)
        # The connection was idle when the drain began.
        assert http.get(f"/users/{user}/balance").status_code == 200
        wait_until(lambda: is_draining(server))
        answer = http.post(f"/users/{user}/balance", json={"amount": 1_000})
        assert (answer.status_code, answer.headers["connection"]) == (201, "close")
    assert server.interrupt()[0] == 0


@pytest.mark.long
def test_an_interrupted_server_ends_without_a_drain(serve: Serve) -> None:
    assert started(serve(*ENDLESS)).interrupt()[0] == 0


@pytest.mark.long
def test_a_server_terminated_during_its_start_drains_until_another_sigterm(serve: Serve) -> None:
    server = serve(*ENDLESS)
    terminate(server)
    # Requests wait until the shop has started.
    wait_until(lambda: is_draining(server))
    terminate(server)
    code, printed = server.wait()
    assert (code, printed.strip().endswith(CLOSED)) == (0, True)


@pytest.mark.long
def test_a_server_terminated_and_interrupted_during_its_start_ends(serve: Serve) -> None:
    server = serve(*ENDLESS)
    terminate(server)
    assert server.interrupt()[0] == 0


@pytest.mark.long
def test_workers_drain_when_every_process_gets_the_signal_and_none_is_replaced(
    postgres_database: str, tmp_path: Path
) -> None:
    platform = ("--platform", f"file:{tmp_path / 'events.jsonl'}")
    server = started(serve_in_process(postgres_database, "--workers", "2", *platform, *ENDLESS))
    wait_until(lambda: len(workers_of(server)) == 2)
    workers = workers_of(server)
    wait_until(lambda: all(has_opened(each) for each in workers))
    for process_id in (server.process.pid, *workers):
        os.kill(process_id, signal.SIGTERM)
    wait_until(lambda: is_draining(server))
    os.kill(min(workers), signal.SIGTERM)
    os.kill(max(workers), signal.SIGKILL)
    wait_until(lambda: workers_of(server) == {min(workers)})
    # The supervisor would replace it after half a second.
    deadline = monotonic() + 1.5
    while monotonic() < deadline:
        assert is_draining(server)
        assert workers_of(server) == {min(workers)}
    terminate(server)
    assert server.wait()[0] == 0


@pytest.mark.long
def test_a_server_that_others_can_reach_drains_by_default(tmp_path: Path) -> None:
    server = serve_in_process(f"sqlite:///{tmp_path / 'shop.db'}", "--host", "0.0.0.0")
    server.address = server.address.replace("0.0.0.0", "127.0.0.1")
    started(server)
    terminate(server)
    wait_until(lambda: is_draining(server))
    terminate(server)
    assert server.wait()[0] == 0
