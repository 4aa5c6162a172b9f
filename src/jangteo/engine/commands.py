"""Submitting commands: a command waits in its writer's queue, is committed with its batch, and is answered then.

A server's writer is a child process. A thread does the same where a test controls the clock, and for commands without a
server.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

from jangteo.core.book import Command
from jangteo.engine.batch import Submission
from jangteo.engine.caller import OPEN, Caller
from jangteo.engine.deadlines import SHUTDOWN_TIMEOUT_S
from jangteo.engine.outcomes import SerializedOutcome


class Writer(Protocol):
    """What commits batches: a process, a thread, or a pool of writers. Its methods are called on the event loop."""

    @property
    def unanswered(self) -> int:
        """The number of commands accepted and not answered yet."""

    @property
    def is_up(self) -> bool:
        """Whether the writer is running."""

    async def start(self, on_events: Callable[[], None]) -> None:
        """Start; `on_events` is called on the event loop after each batch that wrote events."""

    async def stop(self, timeout_s: float = SHUTDOWN_TIMEOUT_S) -> bool:
        """Commit and answer everything accepted, then end; whether it ended in time.

        Otherwise it is killed, or left behind where it can't be. What it had not answered is as unknown as after a
        crash.
        """

    def submit(self, submission: Submission) -> asyncio.Future[SerializedOutcome]:
        """Return the future outcome; it is set once the command is durable.

        Raises Overloaded if the queue is full, Stopped after `stop`. The future raises Unavailable where the command
        failed, or where the writer ended and nobody knows whether it was committed.
        """

    def submit_all(self, submissions: Sequence[Submission]) -> list[asyncio.Future[SerializedOutcome]]:
        """Submit in this order, to one writer; return the future outcomes of those that its queue has room for.

        These are the first ones. The others are not executed, as if `submit` had raised Overloaded for each; after
        `stop`, none is.
        """


class Commands:
    """Submits commands to the writer. No command is answered before it is durable."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._events_committed = asyncio.Event()

    async def start(self) -> None:
        """Start the writer."""
        await self._writer.start(self.notify)

    async def stop(self, timeout_s: float = SHUTDOWN_TIMEOUT_S) -> bool:
        """Commit and answer everything accepted, then stop the writer; whether it ended in time."""
        return await self._writer.stop(timeout_s)

    def submit(
        self, command: Command, key: str | None = None, caller: Caller = OPEN
    ) -> asyncio.Future[SerializedOutcome]:
        """Return the command's future outcome; it is set once the command is durable. The key is the caller's own.

        Raises Overloaded or Stopped. The future raises Unavailable where the command failed, or where nobody knows
        whether it was committed.
        """
        return self._writer.submit(Submission(command, key, caller.actor))

    def submit_all(self, submissions: Sequence[Submission]) -> list[asyncio.Future[SerializedOutcome]]:
        """Return the future outcomes of commands that are executed in this order, as `submit` does for each.

        Where the queue gets full, only the first ones are accepted and have futures. Later commands are executed
        although an earlier one was refused or failed.
        """
        return self._writer.submit_all(submissions)

    def notify(self) -> None:
        """Notify the current or the next waiter for events: called after each commit of a batch with events."""
        self._events_committed.set()

    def clear_notification(self) -> None:
        """Make the next `wait_for_events` wait for a later `notify`."""
        self._events_committed.clear()

    async def wait_for_events(self, timeout_s: float) -> None:
        """Wait until `notify` is called, if it wasn't since the notification was cleared; at most the timeout."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._events_committed.wait()
