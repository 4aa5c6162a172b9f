"""Orders and cancellations from many clients at once, while everybody counts: both ways of the best sellers are one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest

from jangteo.storage.best_sellers.refresh import read_windows
from jangteo.storage.urls import open_storage
from tests.serving import Http, ServerProcess, audit, serve_in_process
from tests.storage.refreshed import kept_and_direct

CLIENTS = 12
LOOKS = 150
PRODUCTS = 400
"""On four pages."""
DAYS = (1, 3, 7)


@pytest.fixture
def servers(database: str, tmp_path: Path) -> Iterator[list[ServerProcess]]:
    """One server on SQLite; three on PostgreSQL, one of them with two workers, one with two writers."""
    platform = ("--platform", f"file:{tmp_path / 'events.jsonl'}")
    several = ((), ("--workers", "2"), ("--writers", "2")) if database.startswith("postgres") else ((),)
    started = [serve_in_process(database, *platform, *options) for options in several]
    yield started
    assert [server.interrupt()[0] for server in started] == [0] * len(started)
    audited = audit(database)
    assert audited.returncode == 0, audited.stdout


class Shoppers:
    """Clients who order, cancel, and ask for the best sellers both ways, each at one server after the other."""

    def __init__(self, servers: list[ServerProcess]) -> None:
        self._addresses = [server.address for server in servers]
        with Http(base_url=self._addresses[0], timeout=60) as http:
            self._users = [http.user(balance=10**9) for _ in range(CLIENTS)]
            self._products = [http.product(price=1, stock=10**6) for _ in range(PRODUCTS)]
        self._closing = asyncio.Event()
        self.ordered = self.cancelled = self.asked = 0

    @asynccontextmanager
    async def shopping(self) -> AsyncIterator[None]:
        """They are at it as long as the block lasts."""
        async with httpx.AsyncClient(timeout=60) as client, asyncio.TaskGroup() as group:
            for user in self._users:
                group.create_task(self._shop(client, user))
            try:
                yield
            finally:
                self._closing.set()

    async def _shop(self, client: httpx.AsyncClient, user: int) -> None:
        random, orders = Random(user), list[int]()
        while not self._closing.is_set():
            address = random.choice(self._addresses)
            if orders and random.random() < 0.3:
                order = orders.pop(random.randrange(len(orders)))
                assert (await client.post(f"{address}/orders/{order}/cancel")).status_code == 200
                self.cancelled += 1
            elif random.random() < 0.1:
                query = f"method={random.choice(['direct', 'summary'])}&days={random.choice(DAYS)}&limit=100"
                answer = await client.get(f"{address}/products/top?{query}")
                assert answer.status_code == 200, answer.text
                in_order(answer.json())
                self.asked += 1
            else:
                orders.append(await self._order(client, address, user, random))
                self.ordered += 1

    async def _order(self, client: httpx.AsyncClient, address: str, user: int, random: Random) -> int:
        # A few are much better loved than the others.
        lines = {self._products[int(PRODUCTS * random.random() ** 3)]: random.randint(1, 3) for _ in range(3)}
        items = [{"productId": product, "quantity": quantity} for product, quantity in lines.items()]
        answer = await client.post(f"{address}/orders", json={"userId": user, "items": items})
        assert answer.status_code == 201, answer.text
        order: int = answer.json()["orderId"]
        return order


def in_order(best: list[dict[str, Any]]) -> None:
    assert best == sorted(best, key=lambda each: (-each["sold"], each["id"]))


def look(database: str) -> tuple[set[int], int]:
    """Compare them in one snapshot: which windows were kept, and how many steps there were."""
    with closing(open_storage(database).connect()) as connection, connection.snapshot(datetime.now(UTC)) as snapshot:
        kept = {window.days for window in read_windows(snapshot) if window.state == "active"}
        for days in DAYS:
            for limit in (1, 5, 100):
                counted, direct = kept_and_direct(snapshot, limit, days)
                assert counted in (None, direct), (days, limit)
                assert (counted is not None) == (days in kept)
        ((steps,),) = snapshot.rows("SELECT steps FROM best_seller_version")
    return kept, steps


@pytest.mark.timeout(240)
def test_both_ways_agree_while_everybody_orders_cancels_and_counts(database: str, servers: list[ServerProcess]) -> None:
    shoppers = Shoppers(servers)

    async def race() -> tuple[set[int], int]:
        kept, steps, looks = set[int](), 0, 0
        async with asyncio.timeout(200), shoppers.shopping():
            # Until the windows of other days were built meanwhile, and steps were done with all of them.
            while looks < LOOKS or kept < set(DAYS) or steps < 8:
                kept, steps = await asyncio.to_thread(look, database)
                looks += 1
        return look(database)

    kept, steps = asyncio.run(race())
    assert kept == set(DAYS)
    assert steps >= 8
    assert min(shoppers.ordered, shoppers.cancelled, shoppers.asked) > 20
