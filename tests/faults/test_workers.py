"""A killed worker is replaced, and no worker outlives its parent process."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from time import monotonic

import httpx

from tests.serving import Http, ServerProcess, serve_in_process


def workers_of(server: ServerProcess) -> set[int]:
    return children_of(server.process.pid, "spawn_main")


def children_of(process_id: int, word: str) -> set[int]:
    """The children of a process with a word in their command lines."""
    children = Path(f"/proc/{process_id}/task/{process_id}/children").read_text().split()
    return {int(child) for child in children if word in command_of(child)}


def command_of(process_id: str) -> str:
    try:
        return Path(f"/proc/{process_id}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        # The process has exited meanwhile.
        return ""


def answers(address: str) -> bool:
    try:
        with Http(base_url=address, timeout=5) as http:
            return http.get("/health/ready").status_code == 200
    except httpx.TransportError:
        return False


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = monotonic() + 60
    while not condition():
        assert monotonic() < deadline, "the condition was not met within 60 s"


def test_a_killed_worker_is_replaced_and_no_worker_outlives_its_parent(postgres_database: str, tmp_path: Path) -> None:
    platform = ("--platform", f"file:{tmp_path / 'events.jsonl'}")
    server = serve_in_process(postgres_database, "--workers", "2", *platform)
    wait_until(lambda: answers(server.address))
    wait_until(lambda: len(workers_of(server)) == 2)
    before = workers_of(server)
    os.kill(min(before), signal.SIGKILL)
    wait_until(lambda: len(workers_of(server)) == 2 and workers_of(server) != before)
    wait_until(lambda: answers(server.address))
    server.kill()
    # The listening socket closes when the last worker has exited.
    wait_until(lambda: not listens(server.address))


def listens(address: str) -> bool:
    try:
        httpx.get(f"{address}/health/live", timeout=5)
    except httpx.ConnectError:
        return False
    except httpx.TransportError:
        return True
    return True
