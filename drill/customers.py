"""Customers who order, charge, claim and sign up through the balancer, and repeat with the same key what fails."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from random import Random
from time import monotonic, time
from typing import Any, Final

import aiohttp
import msgspec

from drill.answers import Acknowledged, Failure, Kind, Request
from drill.waiting import DrillFailed, until

PAUSE_S: Final = 0.15
"""A customer's pause between two requests."""
RETRY_PAUSES_S: Final = (0.5, 1.0)
"""Between these a customer chooses the pause before a request is repeated; Retry-After says one second."""
ANSWER_TIMEOUT_S: Final = 30
GIVE_UP_S: Final = 150
"""How long one request is repeated before it counts as never answered."""
FLOWING: Final = 20
"""Acknowledged requests that were begun after a fault, before answers count as flowing again."""
_PRODUCTS: Final = 20
_CAMPAIGNS: Final = 60
_BALANCE: Final = 50_000_000
_STOCK: Final = 10_000_000


class Customers:
    """All customers, and everything that they were answered."""

    def __init__(self, address: str, number: int) -> None:
        self._address = address
        self._number = number
        self._closed = False
        self._random = Random(15)
        self._keys = count(1)
        self._products: list[int] = []
        self._campaigns: list[int] = []
        self.acknowledged: list[Acknowledged] = []
        self.failures: list[Failure] = []
        self.unanswered: list[Request] = []
        self._begun_at: list[float] = []
        """When each acknowledged request was begun: monotonic seconds."""

    @asynccontextmanager
    async def shopping(self) -> AsyncIterator[None]:
        """The customers shop while the block runs, and get their last requests answered after it."""
        connector = aiohttp.TCPConnector(limit=0)
        timeout = aiohttp.ClientTimeout(total=ANSWER_TIMEOUT_S)
        async with aiohttp.ClientSession(self._address, connector=connector, timeout=timeout) as session:
            await self._open_shop(session)
            users = [await self._sign_up(session) for _ in range(self._number)]
            tasks = [asyncio.create_task(self._shop(session, user)) for user in users]
            try:
                yield
                self._closed = True
                await asyncio.gather(*tasks)
            finally:
                for task in tasks:
                    task.cancel()

    async def flowing(self, timeout_s: float) -> None:
        """Wait until some requests that begin from now on are acknowledged. Raises DrillFailed."""
        begun_after = monotonic()

        def flows() -> bool:
            recent = self._begun_at[-2 * FLOWING :]
            return sum(at > begun_after for at in recent) >= FLOWING

        await until(flows, "answers to new requests", timeout_s)

    async def _open_shop(self, session: aiohttp.ClientSession) -> None:
        for number in range(_PRODUCTS):
            body = {"name": f"product {number}", "price": 10 + number, "stock": _STOCK}
            self._products.append((await self._succeed(session, "/products", body))["id"])
        for number in range(_CAMPAIGNS):
            body = {"name": f"campaign {number}", "discount": 3, "quantity": 10 * self._number}
            self._campaigns.append((await self._succeed(session, "/campaigns", body))["campaignId"])

    async def _succeed(self, session: aiohttp.ClientSession, path: str, body: dict[str, Any]) -> dict[str, Any]:
        async with session.post(path, json=body) as answer:
            if not answer.ok:
                raise DrillFailed(f"{path} answers {answer.status}: {await answer.text()}")
            return msgspec.json.decode(await answer.read(), type=dict[str, Any])

    async def _sign_up(self, session: aiohttp.ClientSession) -> int:
        name = self._key()
        answer = await self._ask(session, Request("user", name, "/users", {"name": name}, name))
        if answer is None:
            raise DrillFailed("a customer can't sign up")
        user: int = answer["userId"]
        await self._charge(session, user, _BALANCE)
        return user

    async def _shop(self, session: aiohttp.ClientSession, user: int) -> None:
        """One customer: mostly orders, now and then something else."""
        campaigns = iter(self._campaigns)
        coupon = None
        await asyncio.sleep(self._random.uniform(0, PAUSE_S))
        for step in count(1):
            if self._closed:
                return
            match step % 8:
                case 2:
                    await self._charge(session, user, step)
                case 4 if (campaign := next(campaigns, None)) is not None:
                    coupon = await self._claim(session, user, campaign)
                case 6:
                    name = self._key()
                    await self._ask(session, Request("user", name, "/users", {"name": name}, name))
                case _:
                    await self._order(session, user, coupon)
                    coupon = None
            await asyncio.sleep(PAUSE_S)

    async def _charge(self, session: aiohttp.ClientSession, user: int, amount: int) -> None:
        await self._ask(session, self._request("charge", f"/users/{user}/balance", {"amount": amount}, user))

    async def _claim(self, session: aiohttp.ClientSession, user: int, campaign: int) -> int | None:
        body = {"userId": user, "campaignId": campaign}
        answer = await self._ask(session, self._request("coupon", "/coupons", body, user))
        return None if answer is None else int(answer["couponId"])

    async def _order(self, session: aiohttp.ClientSession, user: int, coupon: int | None) -> None:
        item = {"productId": self._random.choice(self._products), "quantity": self._random.randint(1, 3)}
        body = {"userId": user, "items": [item]} | ({} if coupon is None else {"couponId": coupon})
        await self._ask(session, self._request("order", "/orders", body, user))

    def _request(self, kind: Kind, path: str, body: dict[str, Any], user: int) -> Request:
        return Request(kind, self._key(), path, body, user)

    def _key(self) -> str:
        return f"drill-{next(self._keys)}"

    async def _ask(self, session: aiohttp.ClientSession, request: Request) -> dict[str, Any] | None:
        """Repeat a request until it is answered. None if it was refused, which no request deserves, or given up."""
        begun_at = monotonic()
        while monotonic() < begun_at + GIVE_UP_S:
            status, body = await self._attempt(session, request)
            if status is not None and status < 300:  # noqa: PLR2004 - HTTP's numbers
                identity = request.identity(body)
                self.acknowledged.append(Acknowledged(request.kind, identity, request.owner, time()))
                self._begun_at.append(begun_at)
                return body
            if status is not None and status < 500:  # noqa: PLR2004 - HTTP's numbers
                return None
            await asyncio.sleep(self._random.uniform(*RETRY_PAUSES_S))
        self.unanswered.append(request)
        return None

    async def _attempt(self, session: aiohttp.ClientSession, request: Request) -> tuple[int | None, dict[str, Any]]:
        """Send a request once, and return the status and the body; None if it was not answered."""
        try:
            async with session.post(request.path, json=request.body, headers={"idempotency-key": request.key}) as got:
                status, text = got.status, await got.read()
        except TimeoutError:
            self._fail(f"no answer within {ANSWER_TIMEOUT_S} s")
        except aiohttp.ClientError:
            self._fail("broken connection")
        else:
            if status < 300:  # noqa: PLR2004 - HTTP's numbers
                return status, msgspec.json.decode(text, type=dict[str, Any])
            self._fail(_reason(status, text))
            return status, {}
        return None, {}

    def _fail(self, reason: str) -> None:
        self.failures.append(Failure(time(), reason))


def _reason(status: int, text: bytes) -> str:
    """The problem's name; the balancer's own answers are no problems in JSON."""
    try:
        problem = msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError:
        return f"{status} of the balancer"
    return f"{status} {str(problem.get('type')).rpartition('/')[2]}"
