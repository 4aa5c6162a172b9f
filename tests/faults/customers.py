"""Customers who charge and order over HTTP while something fails, and check that every answer they got still holds."""

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
READ_EVERY = 4


@dataclass
class Customer:
    """One user, who sends one request after the other, to the first of its servers first.

    With an idempotency key, a request is repeated at the next server until it succeeds. Without a key, a request that
    did not succeed may or may not have been committed.
    """

    addresses: Sequence[str]
    user: int
    product: int
    with_key: bool
    charged: int = 0
    unknown: int = 0
    orders: list[int] = field(default_factory=list)

    def balances(self) -> range:
        """The balances that are consistent with the answers."""
        known = BALANCE + self.charged - PRICE * len(self.orders)
        return range(known, known + self.unknown + 1)


class Customers:
    """All customers. Each starts with another server."""

    def __init__(
        self, addresses: Sequence[str], *, with_keys: int, without_keys: int, servers_close: bool = False
    ) -> None:
        """`servers_close`: servers are closed meanwhile, so they may refuse requests as `overloaded`."""
        unavailable, overloaded = "/problems/unavailable", "/problems/overloaded"
        self._expected = {unavailable, overloaded} if servers_close else {unavailable}
        self._closed = asyncio.Event()
        self._progress = asyncio.Event()
        self._in_flight: Counter[str] = Counter()
        self.answers = 0
        self.repeated = 0
        """Requests with a key that lost their connection while in flight."""
        self.requests = 0
        """Requests sent; each has a response unless its connection failed."""
        self.responses: Counter[tuple[str, int]] = Counter()
        """Responses by server address and status."""
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
        """Every order that was acknowledged."""
        return [order for each in self._all for order in each.orders]

    @asynccontextmanager
    async def shopping(self) -> AsyncIterator[None]:
        """The customers shop while the block runs, and finish their last requests after it."""
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        async with httpx.AsyncClient(timeout=60, limits=limits) as client, asyncio.TaskGroup() as group:
            for customer in self._all:
                group.create_task(self._shop(client, customer))
            yield
            self._closed.set()

    async def more_answers(self, number: int) -> None:
        """Wait for `number` more answered requests."""
        wanted = self.answers + number
        await self._until(lambda: self.answers >= wanted)

    async def successes(self, number: int) -> None:
        """Wait for `number` more successful responses."""
        await self._more_responses(number, lambda status: status < 400)

    async def refusals(self, number: int) -> None:
        """Wait for `number` more responses with status 503."""
        await self._more_responses(number, lambda status: status == 503)

    async def in_flight(self, address: str, number: int) -> None:
        """Wait until `number` requests with a key are in flight to a server at once."""
        await self._until(lambda: self._in_flight[address] >= number)

    def check_balances_and_orders(self, address: str) -> None:
        """Check that the shop's state is what the answers said."""
        with Http(base_url=address, timeout=60) as http:
            for each in self._all:
                balance = http.get(f"/users/{each.user}/balance").json()["balance"]
                assert balance in each.balances(), (each, balance)
                orders = [order["orderId"] for order in http.get(f"/users/{each.user}/orders?limit=1000").json()]
                assert sorted(orders) == sorted(each.orders)
            assert http.get(f"/products/{self._product}").json()["stock"] == STOCK - len(self.orders)

    async def _more_responses(self, number: int, counts: Callable[[int], bool]) -> None:
        def counted() -> int:
            return sum(count for (_, status), count in self.responses.items() if counts(status))

        wanted = counted() + number
        await self._until(lambda: counted() >= wanted)

    async def _until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not condition():
                self._progress.clear()
                await self._progress.wait()

    async def _shop(self, client: httpx.AsyncClient, customer: Customer) -> None:
        step = 0
        while not self._closed.is_set():
            step += 1
            if customer.with_key:
                await self._buy(client, customer, step)
            else:
                await self._charge_once(client, customer)
            self.answers += 1
            self._progress.set()
            if step % READ_EVERY == 0:
                await self._read_balance(client, customer)

    async def _buy(self, client: httpx.AsyncClient, customer: Customer, step: int) -> None:
        key = {"idempotency-key": f"{customer.user}-{step}"}
        if step % 2:
            await self._until_answered(client, customer, "POST", f"/users/{customer.user}/balance", {"amount": 1}, key)
            customer.charged += 1
        else:
            body = {"userId": customer.user, "items": [{"productId": customer.product, "quantity": 1}]}
            order = await self._until_answered(client, customer, "POST", "/orders", body, key)
            customer.orders.append(order["orderId"])

    async def _charge_once(self, client: httpx.AsyncClient, customer: Customer) -> None:
        path = f"/users/{customer.user}/balance"
        if await self._send(client, customer.addresses[0], "POST", path, {"amount": 1}) is None:
            customer.unknown += 1
            # It is not repeated; the next request goes to another server.
            customer.addresses = (*customer.addresses[1:], customer.addresses[0])
        else:
            customer.charged += 1

    async def _read_balance(self, client: httpx.AsyncClient, customer: Customer) -> None:
        # Reads from another server than the one written to.
        path = f"/users/{customer.user}/balance"
        read = await self._until_answered(client, customer, "GET", path, first=1)
        assert read["balance"] in customer.balances(), (customer, read)

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
            answer = await self._send(client, address, method, path, body, key)
            if answer is not None:
                return answer.json()
            attempt += 1

    async def _send(
        self,
        client: httpx.AsyncClient,
        address: str,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        key: dict[str, str] | None = None,
    ) -> httpx.Response | None:
        """The response; None when the outcome is unknown."""
        self.requests += 1
        self._in_flight[address] += key is not None
        self._progress.set()
        try:
            answer = await client.request(method, address + path, json=body, headers=key)
        except httpx.ConnectError:
            return None
        except httpx.TransportError:
            self.repeated += key is not None
            return None
        finally:
            self._in_flight[address] -= key is not None
        self.responses[address, answer.status_code] += 1
        self._progress.set()
        if answer.is_success:
            return answer
        assert answer.status_code == 503, answer.text
        assert answer.json()["type"] in self._expected, answer.text
        assert answer.headers["retry-after"] == "1"
        return None


def wait_until_published(files: Sequence[Path], orders: Sequence[int]) -> None:
    """Wait until the files, one per server, hold the events of all these orders."""
    wanted = {f"order-{order}-paid" for order in orders}
    deadline = monotonic() + 30
    while wanted:
        assert monotonic() < deadline, f"not published: {sorted(wanted)}"
        wanted -= published_ids(files)
        # There is no signal for a file that has grown.
        sleep(0.05)


def published_ids(files: Sequence[Path]) -> set[str]:
    """The local ids of the events in these files, without a line that is still being written."""
    lines = [line for file in files if file.exists() for line in file.read_text().splitlines(keepends=True)]
    return {local_id(json.loads(line)["id"]) for line in lines if line.endswith("\n")}


def local_id(event_id: str) -> str:
    """An event's id without the shop's name: order-1-paid."""
    return event_id.partition("-")[2]
