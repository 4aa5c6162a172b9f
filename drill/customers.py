"""Customers who order, charge, claim and sign up through the balancer."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from random import Random
from time import monotonic
from typing import Any, Final

import aiohttp
import msgspec

from drill.answers import Kind, Request
from drill.client import ANSWER_TIMEOUT_S, Client
from drill.waiting import DrillFailed, until

PAUSE_S: Final = 0.15
"""A customer's pause between two requests."""
FLOWING: Final = 20
"""Acknowledged requests that were begun after a fault, before answers count as flowing again."""
_QUIET_TIMEOUT_S: Final = 60
_PRODUCTS: Final = 20
_CAMPAIGNS: Final = 60
_BALANCE: Final = 50_000_000
_STOCK: Final = 10_000_000


class Customers:
    """All customers: each sends one request after the other, with pauses between them."""

    def __init__(self, address: str, number: int, session: aiohttp.ClientSession) -> None:
        self._address = address
        self._number = number
        self._session = session
        self._random = Random(15)
        self._keys = count(1)
        self._users: list[int] = []
        self._products: list[int] = []
        self._campaigns: list[int] = []
        self._closed = False
        self._open = asyncio.Event()
        self._open.set()
        self._tasks: list[asyncio.Task[Any]] = []
        self.client = Client(session)

    @asynccontextmanager
    async def shopping(self) -> AsyncIterator[None]:
        """The customers shop while the block runs, and get their last requests answered after it."""
        await self._open_shop()
        self._users = [await self._sign_up() for _ in range(self._number)]
        self._tasks = [asyncio.create_task(self._shop(user)) for user in self._users]
        try:
            yield
            self._closed = True
            await asyncio.gather(*self._tasks)
        finally:
            for task in self._tasks:
                task.cancel()

    @asynccontextmanager
    async def pausing(self) -> AsyncIterator[None]:
        """No customer begins a request while the block runs, and none is waiting for an answer when it begins."""
        self._open.clear()
        try:
            await until(lambda: not self.client.in_flight, "the customers' last answers", _QUIET_TIMEOUT_S)
            yield
        finally:
            self._open.set()

    async def flowing(self, timeout_s: float) -> None:
        """Wait until some requests that begin from now on are acknowledged. Raises DrillFailed."""
        begun_after = monotonic()

        def flows() -> bool:
            recent = self.client.begun_at[-2 * FLOWING :]
            return sum(at > begun_after for at in recent) >= FLOWING

        await until(flows, "answers to new requests", timeout_s)

    async def order_at_both(self, first: str, second: str, between: Callable[[], Awaitable[None]]) -> None:
        """Send an order to one server and, after `between`, the same one with the same key to another.

        Both are repeated until they are answered, which this doesn't wait for.
        """
        request = self._order(self._users[0], None)
        self._tasks.append(asyncio.create_task(self.client.ask(first, request)))
        await between()
        self._tasks.append(asyncio.create_task(self.client.ask(second, request)))

    async def _open_shop(self) -> None:
        for number in range(_PRODUCTS):
            body = {"name": f"product {number}", "price": 10 + number, "stock": _STOCK}
            self._products.append((await self._succeed("/products", body))["id"])
        for number in range(_CAMPAIGNS):
            body = {"name": f"campaign {number}", "discount": 3, "quantity": 10 * self._number}
            self._campaigns.append((await self._succeed("/campaigns", body))["campaignId"])

    async def _succeed(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        async with self._session.post(self._address + path, json=body) as answer:
            if not answer.ok:
                raise DrillFailed(f"{path} answers {answer.status}: {await answer.text()}")
            return msgspec.json.decode(await answer.read(), type=dict[str, Any])

    async def _sign_up(self) -> int:
        answer = await self._ask(self._new_user())
        if answer is None:
            raise DrillFailed("a customer can't sign up")
        user: int = answer["userId"]
        await self._ask(self._charge(user, _BALANCE))
        return user

    async def _shop(self, user: int) -> None:
        """One customer: mostly orders, now and then something else."""
        campaigns = iter(self._campaigns)
        coupon = None
        await asyncio.sleep(self._random.uniform(0, PAUSE_S))
        for step in count(1):
            await self._open.wait()
            if self._closed:
                return
            match step % 8:
                case 2:
                    await self._ask(self._charge(user, step))
                case 4 if (campaign := next(campaigns, None)) is not None:
                    claimed = await self._ask(self._claim(user, campaign))
                    coupon = None if claimed is None else int(claimed["couponId"])
                case 6:
                    await self._ask(self._new_user())
                case _:
                    await self._ask(self._order(user, coupon))
                    coupon = None
            await asyncio.sleep(PAUSE_S)

    async def _ask(self, request: Request) -> dict[str, Any] | None:
        return await self.client.ask(self._address, request)

    def _new_user(self) -> Request:
        name = self._key()
        return Request("user", name, "/users", {"name": name}, name)

    def _charge(self, user: int, amount: int) -> Request:
        return self._request("charge", f"/users/{user}/balance", {"amount": amount}, user)

    def _claim(self, user: int, campaign: int) -> Request:
        return self._request("coupon", "/coupons", {"userId": user, "campaignId": campaign}, user)

    def _order(self, user: int, coupon: int | None) -> Request:
        item = {"productId": self._random.choice(self._products), "quantity": self._random.randint(1, 3)}
        body = {"userId": user, "items": [item]} | ({} if coupon is None else {"couponId": coupon})
        return self._request("order", "/orders", body, user)

    def _request(self, kind: Kind, path: str, body: dict[str, Any], user: int) -> Request:
        return Request(kind, self._key(), path, body, user)

    def _key(self) -> str:
        return f"drill-{next(self._keys)}"


def session() -> aiohttp.ClientSession:
    """Return the session of all customers, with a connection for each and a timeout for each answer."""
    connector = aiohttp.TCPConnector(limit=0)
    return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=ANSWER_TIMEOUT_S))
