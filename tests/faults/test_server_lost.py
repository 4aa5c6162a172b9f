"""The PostgreSQL server is killed under load and started again: the shop says 503 meanwhile, goes on by itself, and
whatever was asked for with a key is done once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from tests.postgres import Server, running_server
from tests.serving import Http, ServerProcess, audit, serve_in_process

KILLS = 3
CLIENTS = 8


@pytest.fixture
def own_postgres() -> Iterator[Server]:
    with running_server() as server:
        yield server


def test_a_killed_database_loses_nothing_and_nothing_is_done_twice(own_postgres: Server, tmp_path: Path) -> None:
    database = own_postgres.create("shop")
    shop = serve_in_process(database, "--workers", "2", "--platform", f"file:{tmp_path / 'events.jsonl'}")
    with Http(base_url=shop.address, timeout=60) as http:
        users = [http.user() for _ in range(CLIENTS)]
    charged = [0] * CLIENTS

    async def charge(client: httpx.AsyncClient, number: int, closing: asyncio.Event) -> None:
        while not closing.is_set():
            key = {"idempotency-key": uuid4().hex}
            # As the contract says: the same request with the same key, until there is an answer.
            while True:
                answer = await client.post(f"/users/{users[number]}/balance", json={"amount": 1}, headers=key)
                if answer.status_code == 201:
                    break
                assert (answer.status_code, answer.json()["type"]) == (503, "/problems/unavailable"), answer.text
                assert answer.headers["retry-after"] == "1"
            charged[number] += 1

    async def play() -> None:
        closing = asyncio.Event()
        async with httpx.AsyncClient(base_url=shop.address, timeout=60) as client:
            charging = [asyncio.create_task(charge(client, number, closing)) for number in range(CLIENTS)]
            for kill in range(1, KILLS + 1):
                await until(client, lambda kill=kill: sum(charged) >= 30 * kill)
                own_postgres.kill()
                while (await client.get("/health/ready")).status_code != 503:
                    continue
                await asyncio.to_thread(own_postgres.start)
                while (await client.get("/health/ready")).status_code != 200:
                    continue
            await until(client, lambda: sum(charged) >= 30 * (KILLS + 1))
            closing.set()
            await asyncio.gather(*charging)

    asyncio.run(play())
    with Http(base_url=shop.address, timeout=60) as http:
        balances = [http.get(f"/users/{user}/balance").json()["balance"] for user in users]
    assert balances == charged
    ended(shop, database)


async def until(client: httpx.AsyncClient, reached: object) -> None:
    assert callable(reached)
    while not reached():
        await client.get("/health/live")


def ended(shop: ServerProcess, database: str) -> None:
    assert shop.interrupt()[0] == 0
    audited = audit(database)
    assert audited.returncode == 0, audited.stdout
