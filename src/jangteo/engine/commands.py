"""The way of every command: queue, batch, one transaction, one flush, answers.

Batches are committed by a process of their own where the shop is served, and by a thread where a test wants to lock
the clock.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from jangteo.core.book import Command
from jangteo.engine.batch import Submission
from jangteo.engine.outcomes import SerializedOutcome


class Writer(Protocol):
    """Who commits batches."""

    @property
    def unanswered(self) -> int:
        """Commands taken in and not answered yet."""

    @property
    def is_up(self) -> bool:
        """Whether there is someone to commit them just now."""

    async def start(self, has_events: Callable[[], None]) -> None:
        """Begin; `has_events` is called, on the event loop, after batches that are for the platform."""

    async def stop(self) -> None:
        """Commit and answer what was taken in, then end."""

    def submit(self, asked: Submission) -> asyncio.Future[SerializedOutcome]:
        """The outcome, once it is durable. Raises Overloaded or Stopped."""


class Commands:
    """Commands in, outcomes out, and nothing is answered before it is on disk."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._events_committed = asyncio.Event()

    async def start(self) -> None:
        """Open the way."""
        await self._writer.start(self.notify)

    async def stop(self) -> None:
        """Commit and answer what has arrived, then close."""
        await self._writer.stop()

    def submit(self, command: Command, key: str | None = None) -> asyncio.Future[SerializedOutcome]:
        """What the shop decided, once it is durable.

        Raises Overloaded where too much is waiting; Unavailable where the database didn't keep it, or nobody knows.
        """
        return self._writer.submit(Submission(command, key))

    def notify(self) -> None:
        """Notify whoever waits for events, now or next: called after each commit of a batch with events."""
        self._events_committed.set()

    def clear_notification(self) -> None:
        """Make the next `wait_for_events` wait for a later `notify`."""
        self._events_committed.clear()

    async def wait_for_events(self, timeout_s: float) -> None:
        """Wait until `notify` is called, if it wasn't since the notification was cleared; at most the timeout."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._events_committed.wait(), timeout_s)
