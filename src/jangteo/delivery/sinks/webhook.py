"""The HTTP platform: POSTs batches of CloudEvents, signed according to Standard Webhooks."""

import asyncio
import base64
import errno
import ssl
import time
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from jangteo.delivery.sinks.base import InvalidPlatform, PlatformGone, PlatformUnavailable
from jangteo.delivery.sinks.bounded_responses import BoundedConnector
from jangteo.delivery.sinks.http_responses import HttpResponse, describe_error, parse_retry_after
from jangteo.delivery.sinks.signing import read_secret, signature_headers
from jangteo.delivery.sinks.urls import Address

TIMEOUT_S: Final = 30.0
"""For one request, up to the end of its response."""
_CONTENT_TYPE: Final = "application/cloudevents-batch+json; charset=utf-8"
_READ_BYTES: Final = 65_536
"""How much of a response is read."""
_SIGN_IN_THREAD_BYTES: Final = 131_072
"""From this size on a body is hashed in a thread, which then costs less than blocking the event loop."""
_REJECTED: Final = frozenset({400, 413, 422})
_RETRY_AFTER: Final = frozenset({429, 503})
_CLOSED_WHILE_IDLE: Final = frozenset({None, errno.ECONNRESET, errno.EPIPE})
"""None: the client found the connection closed before it wrote anything."""


class Webhook:
    """POSTs to one URL. `secrets` are Standard Webhooks secrets: each request is signed with all of them."""

    def __init__(self, address: Address, secrets: Sequence[str] = (), *, timeout_s: float = TIMEOUT_S) -> None:
        """Raises InvalidPlatform if the address or a secret is malformed."""
        self._url = _url(address)
        self._keys = [read_secret(secret) for secret in secrets]
        self._headers = {"content-type": _CONTENT_TYPE, "accept-encoding": "identity", **_authorization(address)}
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None
        self._events_max: int | None = None
        """The most events in a request, since one was too large."""

    async def send(self, events: Sequence[bytes]) -> Mapping[int, str]:
        """POST the events; a rejected batch is halved until each rejected event is alone.

        Raises PlatformUnavailable and PlatformGone.
        """
        rejected: dict[int, str] = {}
        parts = _parts(range(len(events)), self._events_max or len(events))
        while parts:
            part = parts.pop()
            response = await self._post([events[index] for index in part])
            if response.status not in _REJECTED:
                continue
            if len(part) == 1:
                rejected[part[0]] = response.describe()
                continue
            half = len(part) // 2
            if response.status == 413:  # noqa: PLR2004 - Content Too Large, by its own number
                self._events_max = min(half, self._events_max or half)
            parts += [part[half:], part[:half]]
        return rejected

    async def probe(self, timeout_s: float) -> str:
        """Connect, with TLS for HTTPS, and send nothing. Raises PlatformUnavailable."""
        url = urlsplit(self._url)
        tls = url.scheme == "https"
        try:
            async with asyncio.timeout(timeout_s):
                _, writer = await asyncio.open_connection(
                    url.hostname, url.port or (443 if tls else 80), ssl=ssl.create_default_context() if tls else None
                )
        except TimeoutError:
            raise PlatformUnavailable(f"no connection within {timeout_s:g} s") from None
        except (OSError, ValueError) as error:
            raise PlatformUnavailable(f"can't connect: {str(error) or type(error).__name__}") from None
        writer.transport.abort()
        return "accepts TLS connections" if tls else "accepts connections"

    async def close(self) -> None:
        """Close the connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _post(self, events: Sequence[bytes]) -> HttpResponse:
        """Return the response, if it is that the events are delivered or rejected; otherwise raise."""
        body = b"[%b]" % b",".join(events)
        headers = {**self._headers, **await _signature(self._keys, body)} if self._keys else self._headers
        try:
            async with asyncio.timeout(self._timeout_s):
                response = await self._request(body, headers)
        except TimeoutError:
            raise PlatformUnavailable(f"no complete response within {self._timeout_s:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # Not chained: the client's message may quote the URL and its secrets.
            raise PlatformUnavailable(describe_error(error)) from None
        _check(response)
        return response

    async def _request(self, body: bytes, headers: Mapping[str, str]) -> HttpResponse:
        """Repeat a request once if its idle connection was closed by the server just before."""
        try:
            return await self._request_once(body, headers)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientConnectionResetError):
            return await self._request_once(body, headers)
        except aiohttp.ClientOSError as error:
            if error.errno not in _CLOSED_WHILE_IDLE:
                raise
            return await self._request_once(body, headers)

    async def _request_once(self, body: bytes, headers: Mapping[str, str]) -> HttpResponse:
        if self._session is None:
            self._session = _open_session()
        # A file, because the client warns about large bytes.
        async with self._session.post(
            self._url, data=BytesIO(body), headers=headers, allow_redirects=False
        ) as response:
            return HttpResponse(response.status, response.headers.get("retry-after"), await _read_start(response))


def _open_session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=BoundedConnector(),
        # `_post` has one timeout for the whole request.
        timeout=aiohttp.ClientTimeout(total=None),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        headers={"user-agent": "jangteo"},
    )


async def _read_start(response: aiohttp.ClientResponse) -> bytes:
    """Read up to `_READ_BYTES`; the connection is closed if there is more, since it can't be used again.

    The end of what was cut off is left out: a secret that is cut in two would not be recognized.
    """
    read = bytearray()
    async for chunk in response.content.iter_any():
        read += chunk
        if len(read) > _READ_BYTES:
            response.close()
            return bytes(read[: _READ_BYTES // 2])
    return bytes(read)


def _check(response: HttpResponse) -> None:
    """Raises PlatformUnavailable and PlatformGone."""
    status = response.status
    if 200 <= status < 300 or status in _REJECTED:  # noqa: PLR2004 - the class of successes
        return
    if status == 410:  # noqa: PLR2004 - Gone, by its own number
        raise PlatformGone(response.describe())
    if 300 <= status < 400:  # noqa: PLR2004 - the class of redirects
        raise PlatformUnavailable(f"HTTP {status}: redirects are not followed, name the final URL")
    retry_after_s = parse_retry_after(response.retry_after) if status in _RETRY_AFTER else None
    raise PlatformUnavailable(response.describe(), retry_after_s)


async def _signature(keys: Sequence[bytes], body: bytes) -> Mapping[str, str]:
    now = int(time.time())
    if len(body) < _SIGN_IN_THREAD_BYTES:
        return signature_headers(keys, body, now)
    return await asyncio.to_thread(signature_headers, keys, body, now)


def _parts(indexes: range, size: int) -> list[range]:
    """Split the indexes into ranges of `size`, the first of them last."""
    return [indexes[start : start + size] for start in range(0, len(indexes), size or 1)][::-1]


def _url(address: Address) -> str:
    query = f"?{address.query}" if address.query else ""
    return f"{address.kind}://{address.only_host}/{address.path}{query}"


def _authorization(address: Address) -> dict[str, str]:
    if address.user is None:
        return {}
    if ":" in address.user:
        raise InvalidPlatform("a user's name can't have a colon in HTTP's basic authentication")
    credentials = f"{address.user}:{address.password or ''}".encode()
    return {"authorization": f"Basic {base64.b64encode(credentials).decode()}"}
