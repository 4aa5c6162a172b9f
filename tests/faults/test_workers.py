"""Workers that are killed are replaced, and none outlives the process that started them."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from time import monotonic

import httpx

from tests.serving import Http, ServerProcess, serve_in_process


def workers_of(server: ServerProcess) -> set[int]:
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
    return {int(child) for child in children if "spawn_main" in command_of(child)}


def command_of(process_id: str) -> str:
    try:
        return Path(f"/proc/{process_id}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        # It has ended meanwhile.
        return ""


def answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/health/ready", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def until(reached: Callable[[], bool]) -> None:
    end = monotonic() + 60
    while not reached():
        assert monotonic() < end, "it didn't come to that"


def test_a_killed_worker_is_replaced_and_none_outlives_its_parent(postgres_database: str, tmp_path: Path) -> None:
    platform = ("--platform", f"file:{tmp_path / 'events.jsonl'}")
    server = serve_in_process(postgres_database, "--workers", "2", *platform)
    with Http(base_url=server.address, timeout=60) as http:
        assert http.get("/health/ready").status_code == 200
    until(lambda: len(workers_of(server)) == 2)
    before = workers_of(server)
    os.kill(min(before), signal.SIGKILL)
    until(lambda: len(workers_of(server)) == 2 and workers_of(server) != before)
    until(lambda: answers(server.address))
    server.kill()
    # The socket is closed when the last of them has ended.
    until(lambda: not listens(server.address))


def listens(address: str) -> bool:
    try:
        httpx.get(f"{address}/health/live", timeout=5)
    except httpx.ConnectError:
        return False
    except httpx.TransportError:
        return True
    return True
