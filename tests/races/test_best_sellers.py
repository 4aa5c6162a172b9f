"""Orders and cancellations from many clients, while several servers refresh: the view and the direct query agree."""

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

from jangteo.storage.best_sellers.query import BestSellersView
from jangteo.storage.best_sellers.windows import read_windows
from jangteo.storage.urls import open_storage
from tests.serving import Http, ServerProcess, audit, serve_in_process
from tests.storage.best_sellers.shop import read_both

CLIENTS = 12
LOOKS = 150
PRODUCTS = 400
"""In four buckets."""
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
    """Clients who order, cancel, and request the best sellers with either method, each at a random server each time."""

    def __init__(self, servers: list[ServerProcess]) -> None:
        self._addresses = [server.address for server in servers]
        with Http(base_url=self._addresses[0], timeout=60) as http:
            self._users = [http.user(balance=10**9) for _ in range(CLIENTS)]
            self._products = [http.product(price=1, stock=10**6) for _ in range(PRODUCTS)]
        self._closing = asyncio.Event()
        self.ordered = self.cancelled = self.requested = 0

    @asynccontextmanager
    async def shopping(self) -> AsyncIterator[None]:
        """Have them shop until the end of the block."""
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
                self.requested += 1
            else:
                orders.append(await self._order(client, address, user, random))
                self.ordered += 1

    async def _order(self, client: httpx.AsyncClient, address: str, user: int, random: Random) -> int:
        # A few products sell much better than the others.
        lines = {self._products[int(PRODUCTS * random.random() ** 3)]: random.randint(1, 3) for _ in range(3)}
        items = [{"productId": product, "quantity": quantity} for product, quantity in lines.items()]
        answer = await client.post(f"{address}/orders", json={"userId": user, "items": items})
        assert answer.status_code == 201, answer.text
        order: int = answer.json()["orderId"]
        return order


def in_order(best: list[dict[str, Any]]) -> None:
    assert best == sorted(best, key=lambda each: (-each["sold"], each["id"]))


def look(database: str) -> tuple[set[int], int]:
    """Compare both in one snapshot; return the days of the active windows, and the version."""
    with closing(open_storage(database).connect()) as connection, connection.snapshot(datetime.now(UTC)) as snapshot:
        active = {window.days for window in read_windows(snapshot) if window.state == "active"}
        for days in DAYS:
            for limit in (1, 5, 100):
                from_view, direct = read_both(snapshot, BestSellersView(), limit, days)
                assert from_view in (None, direct), (days, limit)
                assert (from_view is not None) == (days in active)
        ((version,),) = snapshot.rows("SELECT version FROM best_seller_version")
    return active, version


@pytest.mark.timeout(240)
def test_view_and_direct_query_agree_while_clients_order_and_servers_refresh(
    database: str, servers: list[ServerProcess]
) -> None:
    shoppers = Shoppers(servers)

    async def race() -> tuple[set[int], int]:
        active, version, looks = set[int](), 0, 0
        async with asyncio.timeout(200), shoppers.shopping():
            # Until the windows of other days are active, and refreshes have included all of them.
            while looks < LOOKS or active < set(DAYS) or version < 8:
                active, version = await asyncio.to_thread(look, database)
                looks += 1
        return look(database)

    active, version = asyncio.run(race())
    assert active == set(DAYS)
    assert version >= 8
    assert min(shoppers.ordered, shoppers.cancelled, shoppers.requested) > 20
