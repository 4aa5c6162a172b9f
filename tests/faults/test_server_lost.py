"""The PostgreSQL server is killed under load, or its sessions are terminated: the shop recovers by itself, and requests
with a key are executed once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.faults.customers import Customers, wait_until_published
from tests.postgres import Server, running_server, terminate_all
from tests.serving import ServerProcess, audit, serve_in_process

KILLS = 3
TERMINATIONS = 20


@pytest.fixture
def own_postgres() -> Iterator[Server]:
    with running_server() as server:
        yield server


@pytest.fixture
def events(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


def test_a_killed_database_loses_nothing_and_executes_nothing_twice(own_postgres: Server, events: Path) -> None:
    database = own_postgres.create("shop")
    shop = serve_in_process(database, "--workers", "2", "--hold", "0", "--platform", f"file:{events}")
    customers = Customers([shop.address], with_keys=8, without_keys=4)

    async def scenario() -> None:
        async with customers.shopping(), httpx.AsyncClient(base_url=shop.address, timeout=60) as client:
            for _ in range(KILLS):
                await customers.more_answers(30)
                own_postgres.kill()
                while (await client.get("/health/ready")).status_code != 503:
                    continue
                await asyncio.to_thread(own_postgres.start)
                while (await client.get("/health/ready")).status_code != 200:
                    continue
            await customers.more_answers(30)

    asyncio.run(scenario())
    assert customers.responses[shop.address, 503] > 0
    check_all_kept(shop, database, customers, events)


def test_repeatedly_terminated_sessions_lose_nothing(postgres_database: str, events: Path) -> None:
    shop = serve_in_process(postgres_database, "--workers", "2", "--platform", f"file:{events}")
    customers = Customers([shop.address], with_keys=8, without_keys=4)
    session_states: list[str] = []

    async def scenario() -> None:
        async with customers.shopping():
            for number in range(TERMINATIONS):
                await customers.more_answers(20 + 7 * number % 20)
                states = await asyncio.to_thread(terminate_all, postgres_database)
                assert states, "there was no session"
                session_states.extend(states)
            await customers.more_answers(50)

    asyncio.run(scenario())
    assert {"active", "idle in transaction"} & set(session_states), "no session was terminated within a transaction"
    check_all_kept(shop, postgres_database, customers, events)


def check_all_kept(shop: ServerProcess, database: str, customers: Customers, events: Path) -> None:
    customers.check_balances_and_orders(shop.address)
    wait_until_published([events], customers.orders)
    assert shop.interrupt()[0] == 0
    audited = audit(database)
    assert audited.returncode == 0, audited.stdout
