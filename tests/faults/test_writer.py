"""The writer process is killed: acknowledged commands are kept, unanswered ones get 503, and it is replaced."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import httpx

from tests.serving import Http, ServerProcess, audit, serve_in_process

KILLS = 5


def writer_process_of(server: ServerProcess) -> int | None:
    """The process id of the server's only child, once it is started."""
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
    return int(children[0]) if children else None


def alive(process_id: int) -> bool:
    try:
        return Path(f"/proc/{process_id}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


def test_a_killed_writer_process_is_replaced_and_loses_nothing_acknowledged(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'shop.db'}"
    server = serve_in_process(database)
    with Http(base_url=server.address, timeout=30) as http:
        for _ in range(8):
            http.user()
    acknowledged, unknown = [0] * 8, [0] * 8

    async def charge(client: httpx.AsyncClient, user: int, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            response = await client.post(f"/users/{user + 1}/balance", json={"amount": 1})
            if response.status_code == 201:
                acknowledged[user] += 1
            else:
                assert (response.status_code, response.json()["type"]) == (503, "/problems/unavailable")
                assert response.headers["retry-after"] == "1"
                unknown[user] += 1

    async def scenario() -> None:
        stopping = asyncio.Event()
        async with httpx.AsyncClient(base_url=server.address, timeout=30) as client:
            charging = [asyncio.create_task(charge(client, user, stopping)) for user in range(8)]
            for number in range(KILLS):
                while sum(acknowledged) < 50 * (number + 1):
                    await client.get("/health/live")
                writer = writer_process_of(server)
                assert writer is not None
                os.kill(writer, signal.SIGKILL)
            while sum(acknowledged) < 50 * (KILLS + 1):
                await client.get("/health/live")
            stopping.set()
            await asyncio.gather(*charging)

    asyncio.run(scenario())
    with Http(base_url=server.address, timeout=30) as http:
        for user in range(8):
            balance = http.get(f"/users/{user + 1}/balance").json()["balance"]
            assert acknowledged[user] <= balance <= acknowledged[user] + unknown[user]
    assert server.interrupt()[0] == 0
    audited = audit(database)
    assert audited.returncode == 0, audited.stdout


def test_a_writer_process_does_not_outlive_its_server(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'shop.db'}"
    for end in (ServerProcess.kill, ServerProcess.interrupt):
        server = serve_in_process(database)
        with Http(base_url=server.address, timeout=30) as http:
            assert http.get("/health/ready").status_code == 200
        writer = writer_process_of(server)
        assert writer is not None
        end(server)
        # The lock is released only when the writer process has ended, too: the next server waits for that.
        server = serve_in_process(database)
        assert not alive(writer)
        server.interrupt()
