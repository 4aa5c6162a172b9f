"""The HTTP platform: batches of CloudEvents by POST, signed as Standard Webhooks has it."""

import asyncio
import base64
import errno
import time
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Final

import aiohttp

from jangteo.delivery.sinks.base import CannotUse, Gone, Later
from jangteo.delivery.sinks.http_responses import Answer, wait_asked_for, why_no_answer
from jangteo.delivery.sinks.signing import read_secret, signature_headers
from jangteo.delivery.sinks.urls import Address

DEADLINE_S: Final = 30.0
"""A request must be answered, to the answer's end, within this."""
_CONTENT_TYPE: Final = "application/cloudevents-batch+json; charset=utf-8"
_READ_BYTES: Final = 65_536
"""So much of an answer is read."""
_SIGNED_BESIDE_BYTES: Final = 131_072
"""From this size on a body is hashed in a thread: it takes longer than handing it over."""
_REFUSED_FOR_WHAT_IT_IS: Final = frozenset({400, 413, 422})
_ASKS_FOR_PATIENCE: Final = frozenset({429, 503})
_CLOSED_MEANWHILE: Final = frozenset({None, errno.ECONNRESET, errno.EPIPE})
"""No number at all: it was found closed before anything was written."""


class Webhook:
    """One URL that takes events by POST. `secret` is a Standard Webhooks secret; times are in seconds."""

    def __init__(self, address: Address, secret: str | None = None, *, deadline_s: float = DEADLINE_S) -> None:
        """Raises CannotUse where address or secret aren't such."""
        self._url = _url(address)
        self._key = None if secret is None else read_secret(secret)
        self._headers = {"content-type": _CONTENT_TYPE, "accept-encoding": "identity", **_authorization(address)}
        self._deadline_s = deadline_s
        self._session: aiohttp.ClientSession | None = None
        self._most: int | None = None
        """No more events a request than this, since one was too large."""

    async def send(self, events: Sequence[bytes]) -> Mapping[int, str]:
        """POST the events; a batch that is refused is halved until what is refused stands alone.

        Raises Later and Gone.
        """
        rejected: dict[int, str] = {}
        waiting = _parts(range(len(events)), self._most or len(events))
        while waiting:
            part = waiting.pop()
            answer = await self._post([events[place] for place in part])
            if answer.status not in _REFUSED_FOR_WHAT_IT_IS:
                continue
            if len(part) == 1:
                rejected[part[0]] = answer.told
                continue
            half = len(part) // 2
            if answer.status == 413:  # noqa: PLR2004 - Content Too Large, by its own number
                self._most = min(half, self._most or half)
            waiting += [part[half:], part[:half]]
        return rejected

    async def close(self) -> None:
        """Close the connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _post(self, events: Sequence[bytes]) -> Answer:
        """The answer, where it is that the events are delivered, or refused for what they are."""
        body = b"[%b]" % b",".join(events)
        headers = self._headers if self._key is None else {**self._headers, **await _signature(self._key, body)}
        try:
            async with asyncio.timeout(self._deadline_s):
                answer = await self._answer(body, headers)
        except TimeoutError:
            raise Later(f"no whole answer within {self._deadline_s:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # Not chained: what the client says may lock the URL.
            raise Later(why_no_answer(error)) from None
        _judge(answer)
        return answer

    async def _answer(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """An idle connection may be closed by the server in the moment it is used: then once more, on a new one."""
        try:
            return await self._ask(body, headers)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientConnectionResetError):
            return await self._ask(body, headers)
        except aiohttp.ClientOSError as error:
            if error.errno not in _CLOSED_MEANWHILE:
                raise
            return await self._ask(body, headers)

    async def _ask(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        if self._session is None:
            self._session = _open_session()
        # A file and not bytes: the client warns of large bytes.
        async with self._session.post(
            self._url, data=BytesIO(body), headers=headers, allow_redirects=False
        ) as response:
            text = await _beginning(response)
            return Answer(response.status, response.headers.get("retry-after"), text)


def _open_session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        # One deadline for all of a request is held in `_post`.
        timeout=aiohttp.ClientTimeout(total=None),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        headers={"user-agent": "jangteo"},
    )


async def _beginning(response: aiohttp.ClientResponse) -> bytes:
    """Up to `_READ_BYTES`. A connection is only used again after an answer that was read to its end."""
    read = bytearray()
    async for chunk in response.content.iter_any():
        read += chunk
        if len(read) > _READ_BYTES:
            response.close()
            break
    return bytes(read[:_READ_BYTES])


def _judge(answer: Answer) -> None:
    """Raises Later and Gone."""
    status = answer.status
    if 200 <= status < 300 or status in _REFUSED_FOR_WHAT_IT_IS:  # noqa: PLR2004 - the class of successes
        return
    if status == 410:  # noqa: PLR2004 - Gone, by its own number
        raise Gone(answer.told)
    if 300 <= status < 400:  # noqa: PLR2004 - the class of redirects
        raise Later(f"HTTP {status}: redirects are not followed, name the place itself")
    raise Later(answer.told, wait_asked_for(answer.retry_after) if status in _ASKS_FOR_PATIENCE else None)


async def _signature(key: bytes, body: bytes) -> Mapping[str, str]:
    now = int(time.time())
    if len(body) < _SIGNED_BESIDE_BYTES:
        return signature_headers(key, body, now)
    return await asyncio.to_thread(signature_headers, key, body, now)


def _parts(places: range, most: int) -> list[range]:
    """The places in ranges of `most`, the first of them last."""
    return [places[start : start + most] for start in range(0, len(places), most or 1)][::-1]


def _url(address: Address) -> str:
    query = f"?{address.query}" if address.query else ""
    return f"{address.kind}://{address.only_host}/{address.path}{query}"


def _authorization(address: Address) -> dict[str, str]:
    if address.user is None:
        return {}
    if ":" in address.user:
        raise CannotUse("a user's name can't have a colon in HTTP's basic authentication")
    named = f"{address.user}:{address.password or ''}".encode()
    return {"authorization": f"Basic {base64.b64encode(named).decode()}"}
