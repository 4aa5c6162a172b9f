"""The NATS platform: every event published to a subject, and acknowledged by the stream that keeps it."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from nats.errors import Error

from jangteo.delivery.sinks.base import CannotUse, Later
from jangteo.delivery.sinks.nats_connection import Connection, told_of
from jangteo.delivery.sinks.nats_login import Refused
from jangteo.delivery.sinks.urls import Address

DEADLINE_S: Final = 20.0
"""Connecting, and each window of events, may take so long."""
WINDOW: Final = 1_000
"""No more events than this are unacknowledged at a time."""
SHUTDOWN_TIMEOUT_S: Final = 1.0
"""So long a connection that is given up may take to close."""


class JetStream:
    """One subject that a stream listens to. Times are in seconds.

    A connection serves until something goes wrong on it: then it is closed and the next attempt makes a new one. What
    the old one may still bring comes before newer events of the same order, which wait until all is acknowledged.
    """

    def __init__(self, address: Address, *, deadline_s: float = DEADLINE_S) -> None:
        """Raises CannotUse where the address isn't one of NATS with a subject."""
        address.options(frozenset())
        self._address = address
        self._subject = _subject(address)
        self._deadline_s = deadline_s
        self._connection: Connection | None = None
        self._closing: set[asyncio.Task[None]] = set()

    async def send(self, events: Sequence[bytes]) -> Mapping[int, str]:
        """Publish the events, and wait until each is acknowledged. Raises Later."""
        rejected: dict[int, str] = {}
        all_is_well = False
        try:
            connection = await self._connected()
            for start in range(0, len(events), WINDOW):
                async with asyncio.timeout(self._deadline_s):
                    await connection.publish(self._subject, events[start : start + WINDOW], start, rejected)
            all_is_well = True
        except TimeoutError:
            raise Later(f"NATS didn't answer within {self._deadline_s:g} s") from None
        except Refused as refused:
            raise Later(str(refused)) from refused
        except (Error, OSError, ValueError) as error:
            raise Later(f"NATS: {told_of(error)}") from error
        finally:
            # Also when cancelled: an acknowledgement that still comes must not be taken for one of the next events.
            if not all_is_well:
                self._let_go()
        return rejected

    async def close(self) -> None:
        """Close the connection."""
        self._let_go()
        await self._see_closed()
        for closing in self._closing:
            closing.cancel()

    async def _connected(self) -> Connection:
        if self._connection is None or self._connection.is_lost:
            self._let_go()
            await self._see_closed()
            self._connection = Connection(self._address)
            async with asyncio.timeout(self._deadline_s):
                await self._connection.open()
        return self._connection

    def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            closing = asyncio.ensure_future(connection.close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    async def _see_closed(self) -> None:
        """One to a server that hangs can't be closed while there is something left to write: it is left to itself.

        What it brings when the server goes on are events that come again anyway, under the ids that the stream knows.
        """
        if self._closing:
            await asyncio.wait(self._closing, timeout=SHUTDOWN_TIMEOUT_S)


def _subject(address: Address) -> str:
    subject = address.path
    tokens = subject.split(".")
    if not subject or "/" in subject:
        raise CannotUse(f"the platform must be named with one subject: {address.kind}://HOST/SUBJECT")
    if not all(tokens) or any(token in {"*", ">"} for token in tokens):
        raise CannotUse(f"the platform's subject {subject!r} must name one place: no empty parts, no * and no >")
    if not subject.isprintable() or any(character in subject for character in " %*>"):
        raise CannotUse(f"the platform's subject {subject!r} has characters that a subject can't have")
    if subject.startswith("$"):
        raise CannotUse(f"the platform's subject {subject!r} is one of NATS's own")
    return subject
