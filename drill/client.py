"""Sends requests with their keys, repeats what fails, and records every answer."""

import asyncio
from random import Random
from time import monotonic, time
from typing import Any, Final

import aiohttp
import msgspec

from drill.answers import Acknowledged, Failure, Identity, Request

RETRY_PAUSES_S: Final = (0.5, 1.0)
"""Between these is the pause before a request is repeated; Retry-After says one second."""
ANSWER_TIMEOUT_S: Final = 30
GIVE_UP_S: Final = 150
"""How long one request is repeated before it counts as never answered."""


class Client:
    """What all customers send, and everything that they were answered."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._random = Random(11)
        self._promised: dict[str, Identity] = {}
        self.acknowledged: list[Acknowledged] = []
        self.failures: list[Failure] = []
        self.unanswered: list[Request] = []
        self.begun_at: list[float] = []
        """When each acknowledged request was begun: monotonic seconds."""
        self.in_flight = 0

    async def ask(self, address: str, request: Request) -> dict[str, Any] | None:
        """Repeat a request until it is answered. None if it was refused, which no request deserves, or given up."""
        begun_at = monotonic()
        self.in_flight += 1
        try:
            while monotonic() < begun_at + GIVE_UP_S:
                status, body = await self._attempt(address, request)
                if status is not None and status < 300:  # noqa: PLR2004 - HTTP's numbers
                    self._record(request, body, begun_at)
                    return body
                if status is not None and status < 500:  # noqa: PLR2004 - HTTP's numbers
                    return None
                await asyncio.sleep(self._random.uniform(*RETRY_PAUSES_S))
        finally:
            self.in_flight -= 1
        self.unanswered.append(request)
        return None

    def _record(self, request: Request, body: dict[str, Any], begun_at: float) -> None:
        """Record an answer; a second one to the same key counts only if it promises something else."""
        self.begun_at.append(begun_at)
        identity = request.identity(body)
        if self._promised.get(request.key) != identity:
            self._promised[request.key] = identity
            self.acknowledged.append(Acknowledged(request.kind, identity, request.owner, time()))

    async def _attempt(self, address: str, request: Request) -> tuple[int | None, dict[str, Any]]:
        """Send a request once, and return the status and the body; None if it was not answered."""
        headers = {"idempotency-key": request.key}
        try:
            async with self._session.post(address + request.path, json=request.body, headers=headers) as answer:
                status, text = answer.status, await answer.read()
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
