"""The process that writes is killed: what was acknowledged is there, the rest is told as unknown, the shop goes on."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import httpx

from tests.serving import Http, ServerProcess, audit, serve_in_process

KILLS = 5


def writer_of(server: ServerProcess) -> int | None:
    """The process id of the server's only child, once there is one."""
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
    return int(children[0]) if children else None


def alive(process_id: int) -> bool:
    try:
        return Path(f"/proc/{process_id}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


def test_a_killed_writer_is_replaced_and_loses_nothing_acknowledged(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'shop.db'}"
    server = serve_in_process(database)
    with Http(base_url=server.address, timeout=30) as http:
        for _ in range(8):
            http.user()
    acknowledged, unknown = [0] * 8, [0] * 8

    async def charge(client: httpx.AsyncClient, user: int, going: asyncio.Event) -> None:
        while not going.is_set():
            answer = await client.post(f"/users/{user + 1}/balance", json={"amount": 1})
            if answer.status_code == 201:
                acknowledged[user] += 1
            else:
                assert (answer.status_code, answer.json()["type"]) == (503, "/problems/unavailable")
                assert answer.headers["retry-after"] == "1"
                unknown[user] += 1

    async def play() -> None:
        done = asyncio.Event()
        async with httpx.AsyncClient(base_url=server.address, timeout=30) as client:
            charging = [asyncio.create_task(charge(client, user, done)) for user in range(8)]
            for number in range(KILLS):
                while sum(acknowledged) < 50 * (number + 1):
                    await client.get("/health/live")
                writer = writer_of(server)
                assert writer is not None
                os.kill(writer, signal.SIGKILL)
            while sum(acknowledged) < 50 * (KILLS + 1):
                await client.get("/health/live")
            done.set()
            await asyncio.gather(*charging)

    asyncio.run(play())
    with Http(base_url=server.address, timeout=30) as http:
        for user in range(8):
            balance = http.get(f"/users/{user + 1}/balance").json()["balance"]
            assert acknowledged[user] <= balance <= acknowledged[user] + unknown[user]
    assert server.interrupt()[0] == 0
    audited = audit(database)
    assert audited.returncode == 0, audited.stdout


def test_a_writer_does_not_outlive_its_server(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'shop.db'}"
    for end in (ServerProcess.kill, ServerProcess.interrupt):
        server = serve_in_process(database)
        with Http(base_url=server.address, timeout=30) as http:
            assert http.get("/health/ready").status_code == 200
        writer = writer_of(server)
        assert writer is not None
        end(server)
        # The lock is free only when the writer has ended too: a next server waits for that.
        server = serve_in_process(database)
        assert not alive(writer)
        server.interrupt()
