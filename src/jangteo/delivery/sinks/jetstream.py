"""The NATS platform: publishes every event to a subject, and waits until the subject's stream acknowledges it."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from nats.errors import Error

from jangteo.delivery.sinks.base import InvalidPlatform, PlatformUnavailable
from jangteo.delivery.sinks.nats_connection import Connection, describe
from jangteo.delivery.sinks.urls import Address

TIMEOUT_S: Final = 20.0
"""For connecting, and for each window of events."""
WINDOW: Final = 1_000
"""How many events may be unacknowledged at a time."""
CLOSE_TIMEOUT_S: Final = 1.0
"""How long a discarded connection may take to close."""


class JetStream:
    """Publishes to one subject that a stream listens to.

    After any error the connection is closed and the next call opens a new one. Whatever the old one still delivers
    precedes later events of the same orders, because those wait until every event is acknowledged.
    """

    def __init__(self, address: Address, *, timeout_s: float = TIMEOUT_S) -> None:
        """Raises InvalidPlatform if the address isn't one of NATS with a subject."""
        address.options(frozenset())
        self._address = address
        self._subject = _subject(address)
        self._timeout_s = timeout_s
        self._connection: Connection | None = None
        self._closing: set[asyncio.Task[None]] = set()

    async def send(self, events: Sequence[bytes]) -> Mapping[int, str]:
        """Publish the events, and wait until each is acknowledged. Raises PlatformUnavailable."""
        rejected: dict[int, str] = {}
        succeeded = False
        try:
            connection = await self._connect()
            for start in range(0, len(events), WINDOW):
                async with asyncio.timeout(self._timeout_s):
                    await connection.publish(self._subject, events[start : start + WINDOW], start, rejected)
            succeeded = True
        except TimeoutError:
            raise PlatformUnavailable(f"NATS didn't answer within {self._timeout_s:g} s") from None
        except (Error, OSError, ValueError) as error:
            raise PlatformUnavailable(f"NATS: {describe(error)}") from error
        finally:
            # After a cancellation too: a late acknowledgement must not count for an event of the next call.
            if not succeeded:
                self._discard_connection()
        return rejected

    async def probe(self) -> str:
        """Find the subject's stream. Raises PlatformUnavailable."""
        try:
            async with asyncio.timeout(self._timeout_s):
                connection = await self._connect()
                return f"the stream {await connection.find_stream(self._subject)} takes its events"
        except TimeoutError:
            raise PlatformUnavailable(f"NATS didn't answer within {self._timeout_s:g} s") from None
        except (Error, OSError, ValueError) as error:
            raise PlatformUnavailable(f"NATS: {describe(error)}") from error

    async def close(self) -> None:
        """Close the connection."""
        self._discard_connection()
        await self._wait_until_closed()
        for closing in self._closing:
            closing.cancel()

    async def _connect(self) -> Connection:
        if self._connection is None or self._connection.is_lost:
            self._discard_connection()
            await self._wait_until_closed()
            self._connection = Connection(self._address)
            async with asyncio.timeout(self._timeout_s):
                await self._connection.open()
        return self._connection

    def _discard_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            closing = asyncio.ensure_future(connection.close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    async def _wait_until_closed(self) -> None:
        """Wait for discarded connections to close, at most the close timeout.

        A connection to a hanging server can't close while it has something to write. What it delivers once the server
        goes on are events that are sent again anyway, and the stream knows their ids.
        """
        if self._closing:
            await asyncio.wait(self._closing, timeout=CLOSE_TIMEOUT_S)


def _subject(address: Address) -> str:
    subject = address.path
    tokens = subject.split(".")
    if not subject or "/" in subject:
        raise InvalidPlatform(f"the platform must be named with one subject: {address.kind}://HOST/SUBJECT")
    if not all(tokens) or any(token in {"*", ">"} for token in tokens):
        raise InvalidPlatform(f"the platform's subject {subject!r} must have no empty parts, no * and no >")
    if not subject.isprintable() or any(character in subject for character in " %*>"):
        raise InvalidPlatform(f"the platform's subject {subject!r} has characters that a subject can't have")
    if subject.startswith("$"):
        raise InvalidPlatform(f"the platform's subject {subject!r} is one of NATS's own")
    return subject
