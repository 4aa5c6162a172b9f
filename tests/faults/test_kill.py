"""A server killed at random moments under load keeps everything that it acknowledged."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest

from jangteo.storage.best_sellers.query import BestSellersView
from jangteo.storage.urls import open_storage
from tests.faults.customers import published_ids
from tests.serving import Http, ServerProcess, audit, serve_in_process
from tests.storage.best_sellers.shop import read_both

ROUNDS = 20
CLIENTS = 16


class Load:
    """Clients that order, charge and claim, and record every answer."""

    def __init__(self, address: str, round_number: int) -> None:
        self._address = address
        self._round = round_number
        self._random = Random(round_number)
        self.acknowledged: list[tuple[str, dict[str, Any], str]] = []
        self.reached = asyncio.Event()
        self.kill_after = self._random.randint(1, 400)

    async def run(self) -> None:
        limits = httpx.Limits(max_connections=CLIENTS)
        async with httpx.AsyncClient(base_url=self._address, timeout=30, limits=limits) as client:
            await asyncio.gather(*(self._client(client, number) for number in range(CLIENTS)))

    async def _client(self, client: httpx.AsyncClient, number: int) -> None:
        for step in range(1_000):
            path, body = self._request(number, step)
            key = f"{self._round}-{number}-{step}"
            try:
                answer = await client.post(path, json=body, headers={"idempotency-key": key})
            except httpx.TransportError:
                return
            assert answer.status_code == 201, answer.text
            self.acknowledged.append((path, answer.json(), key))
            if len(self.acknowledged) >= self.kill_after:
                self.reached.set()

    def _request(self, number: int, step: int) -> tuple[str, dict[str, Any]]:
        user = number + 1
        if step == 0:
            # Each round has its own campaign, so that every client can claim once per round.
            return "/coupons", {"userId": user, "campaignId": self._round + 1}
        if step % 3:
            items = [{"productId": self._random.randint(1, 5), "quantity": 1} for _ in range(2)]
            return "/orders", {"userId": user, "items": items}
        return f"/users/{user}/balance", {"amount": self._random.randint(1, 99)}


@pytest.mark.long
@pytest.mark.timeout(600)
def test_20_kills_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'shop.db'}"
    server = serve_in_process(database)
    with Http(base_url=server.address, timeout=30) as http:
        for _ in range(CLIENTS):
            http.user(balance=10**9)
        for _ in range(5):
            http.product(price=1, stock=10**6)
    paid: set[int] = set()
    for number in range(ROUNDS):
        with Http(base_url=server.address, timeout=30) as http:
            http.campaign(quantity=CLIENTS)
        load = Load(server.address, number)

        asyncio.run(until_killed(load, server))
        server = serve_in_process(database)
        with Http(base_url=server.address, timeout=30) as http:
            check_acknowledged(http, load)
        check_best_sellers(database)
        paid |= {answer["orderId"] for path, answer, _ in load.acknowledged if path == "/orders"}
    assert server.interrupt()[0] == 0
    audited = audit(database)
    assert audited.returncode == 0, audited.stdout
    assert {f"order-{order}-paid" for order in paid} <= published_ids([tmp_path / "shop.events.jsonl"])


async def until_killed(load: Load, server: ServerProcess) -> None:
    running = asyncio.create_task(load.run())
    await asyncio.wait_for(load.reached.wait(), 60)
    server.kill()
    await running


def check_best_sellers(database: str) -> None:
    """The view and its deltas add up to what the orders say."""
    with closing(open_storage(database).connect()) as connection, connection.snapshot(datetime.now(UTC)) as snapshot:
        from_view, direct = read_both(snapshot, BestSellersView(), 100, 3)
    assert from_view == direct != []


def check_acknowledged(http: Http, load: Load) -> None:
    assert len(load.acknowledged) >= load.kill_after
    with ThreadPoolExecutor(CLIENTS) as threads:
        list(threads.map(lambda acknowledged: check_one(http, *acknowledged), load.acknowledged))


def check_one(http: Http, path: str, answer: dict[str, Any], key: str) -> None:
    if path == "/orders":
        assert http.get(f"/orders/{answer['orderId']}").json() == answer
    elif path == "/coupons":
        held = http.get(f"/users/{answer['userId']}/coupons?limit=1000").json()
        assert answer["couponId"] in [coupon["couponId"] for coupon in held]
    else:
        # The key is known, so the charge was committed, and this one is not made again.
        amount = {"amount": 1}
        assert http.post(path, json=amount, headers={"idempotency-key": key}).status_code in (201, 422)
