"""Customers who charge and order over HTTP while something dies, and know what they were told: it must be so."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import httpx

from tests.serving import Http

BALANCE = 1_000_000
STOCK = 1_000_000
PRICE = 3
LOOKS_EVERY = 4


@dataclass
class Customer:
    """One user, who asks for one thing after the other, first at the server that is named first.

    With a key: the same again, at the next server, until there is an answer. Without one, what wasn't answered with
    success may or may not have been done.
    """

    addresses: Sequence[str]
    user: int
    product: int
    with_key: bool
    charged: int = 0
    unknown: int = 0
    orders: list[int] = field(default_factory=list)

    def balances(self) -> range:
        """What the balance may be."""
        known = BALANCE + self.charged - PRICE * len(self.orders)
        return range(known, known + self.unknown + 1)


class Customers:
    """All of them. Each thinks the servers are in another order."""

    def __init__(self, addresses: Sequence[str], *, with_keys: int, without_keys: int) -> None:
        self._closing = asyncio.Event()
        self._moved = asyncio.Event()
        self._under_way: Counter[str] = Counter()
        self.answers = 0
        self.repeated = 0
        """How often a request was on its way to a server that ended."""
        self.heard: Counter[tuple[str, int]] = Counter()
        """Each server's answers by their status."""
        with Http(base_url=addresses[0], timeout=60) as http:
            self._product = http.product(price=PRICE, stock=STOCK)
            self._all = [
                Customer(
                    (*addresses[number % len(addresses) :], *addresses[: number % len(addresses)]),
                    http.user(balance=BALANCE),
                    self._product,
                    with_key=number < with_keys,
                )
                for number in range(with_keys + without_keys)
            ]

    @property
    def orders(self) -> list[int]:
        """Every order that somebody was told is paid."""
        return [order for each in self._all for order in each.orders]

    @asynccontextmanager
    async def shopping(self) -> AsyncIterator[None]:
        """They are at it as long as the block lasts, and have their last answers after it."""
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        async with httpx.AsyncClient(timeout=60, limits=limits) as client, asyncio.TaskGroup() as group:
            for customer in self._all:
                group.create_task(self._shop(client, customer))
            yield
            self._closing.set()

    async def more_answers(self, number: int) -> None:
        """Wait until so many more requests have been done."""
        wanted = self.answers + number
        await self._until(lambda: self.answers >= wanted)

    async def under_way(self, address: str, number: int) -> None:
        """Wait until so many requests with a key are on their way to a server at once."""
        await self._until(lambda: self._under_way[address] >= number)

    def found_right(self, address: str) -> None:
        """What the shop says in the end is what they were told."""
        with Http(base_url=address, timeout=60) as http:
            for each in self._all:
                balance = http.get(f"/users/{each.user}/balance").json()["balance"]
                assert balance in each.balances(), (each, balance)
                orders = [order["orderId"] for order in http.get(f"/users/{each.user}/orders?limit=1000").json()]
                assert sorted(orders) == sorted(each.orders)
            assert http.get(f"/products/{self._product}").json()["stock"] == STOCK - len(self.orders)

    async def _until(self, reached: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not reached():
                self._moved.clear()
                await self._moved.wait()

    async def _shop(self, client: httpx.AsyncClient, customer: Customer) -> None:
        turn = 0
        while not self._closing.is_set():
            turn += 1
            if customer.with_key:
                await self._buy(client, customer, turn)
            else:
                await self._charge_once(client, customer)
            self.answers += 1
            self._moved.set()
            if turn % LOOKS_EVERY == 0:
                await self._look(client, customer)

    async def _buy(self, client: httpx.AsyncClient, customer: Customer, turn: int) -> None:
        key = {"idempotency-key": f"{customer.user}-{turn}"}
        if turn % 2:
            await self._until_answered(client, customer, "POST", f"/users/{customer.user}/balance", {"amount": 1}, key)
            customer.charged += 1
        else:
            body = {"userId": customer.user, "items": [{"productId": customer.product, "quantity": 1}]}
            order = await self._until_answered(client, customer, "POST", "/orders", body, key)
            customer.orders.append(order["orderId"])

    async def _charge_once(self, client: httpx.AsyncClient, customer: Customer) -> None:
        path = f"/users/{customer.user}/balance"
        if await self._ask(client, customer.addresses[0], "POST", path, {"amount": 1}) is None:
            customer.unknown += 1
            # It is not asked for again; the next one is asked for elsewhere.
            customer.addresses = (*customer.addresses[1:], customer.addresses[0])
        else:
            customer.charged += 1

    async def _look(self, client: httpx.AsyncClient, customer: Customer) -> None:
        # BatchResult here, and looked at there.
        path = f"/users/{customer.user}/balance"
        seen = await self._until_answered(client, customer, "GET", path, first=1)
        assert seen["balance"] in customer.balances(), (customer, seen)

    async def _until_answered(
        self,
        client: httpx.AsyncClient,
        customer: Customer,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        key: dict[str, str] | None = None,
        first: int = 0,
    ) -> Any:
        attempt = first
        while True:
            address = customer.addresses[attempt % len(customer.addresses)]
            answer = await self._ask(client, address, method, path, body, key)
            if answer is not None:
                return answer.json()
            attempt += 1

    async def _ask(
        self,
        client: httpx.AsyncClient,
        address: str,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        key: dict[str, str] | None = None,
    ) -> httpx.Response | None:
        """The answer; None where nobody knows what came of it."""
        self._under_way[address] += key is not None
        self._moved.set()
        try:
            answer = await client.request(method, address + path, json=body, headers=key)
        except httpx.ConnectError:
            return None
        except httpx.TransportError:
            self.repeated += key is not None
            return None
        finally:
            self._under_way[address] -= key is not None
        self.heard[address, answer.status_code] += 1
        if answer.is_success:
            return answer
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/unavailable"), answer.text
        assert answer.headers["retry-after"] == "1"
        return None


def until_told(files: Sequence[Path], orders: Sequence[int]) -> None:
    """Until the platform has been told of all these orders, by whichever server."""
    wanted = {f"order-{order}-paid" for order in orders}
    end = monotonic() + 30
    while wanted:
        assert monotonic() < end, f"not told: {sorted(wanted)}"
        wanted -= told(files)
        # Nobody says when a file has grown.
        sleep(0.05)


def told(files: Sequence[Path]) -> set[str]:
    """What is told in these files, but for a line that is just being written."""
    lines = [line for file in files if file.exists() for line in file.read_text().splitlines(keepends=True)]
    return {fact(json.loads(line)["id"]) for line in lines if line.endswith("\n")}


def fact(event_id: str) -> str:
    """An event's id without the name of its shop: order-1-paid."""
    return event_id.partition("-")[2]
