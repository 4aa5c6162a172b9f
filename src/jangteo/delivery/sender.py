"""What everything that sends has in common: the way to the platform, only while this relay holds the lease."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, TypeVar

import structlog

from jangteo.core.book import Command
from jangteo.core.entities import FailedEvent
from jangteo.core.relay import RecordFailures
from jangteo.delivery.lease import RelayLease
from jangteo.delivery.ordering import Unsent, dispatch
from jangteo.delivery.retry_schedule import PendingRetries
from jangteo.delivery.sinks.base import Sink
from jangteo.engine.commands import Commands
from jangteo.engine.reads import Reads
from jangteo.storage import chores as stored
from jangteo.storage.outbox import EventBatches
from jangteo.storage.port import Query

log = structlog.get_logger()

Answer = TypeVar("Answer")
_NOTED_AT_ONCE: Final = 100


class LeaseLost(Exception):
    """Another relay holds the lease."""


class Sender:
    """One platform, and the shop whose events it is told.

    Whoever sends holds `at_work` from looking what there is to send until it is remembered what became of it.
    """

    def __init__(self, commands: Commands, reads: Reads, sink: Sink, lease: RelayLease, platform: str) -> None:
        """`platform`: its name, as operators are told it."""
        self._commands = commands
        self._reads = reads
        self._sink = sink
        self.lease = lease
        self.platform = platform
        self.at_work = asyncio.Lock()
        self.retries = PendingRetries()
        self.stopped = False
        """Whether the platform wants no more, and no operator has said fallback."""
        self.failing = False
        """Whether it couldn't be told what is new when it was tried last."""
        self.sent_events = 0
        """So many were sent since this program began."""
        self._knows = False

    @property
    def events_committed(self) -> asyncio.Event:
        """Set whenever a batch with events has been committed here."""
        return self._commands.events_committed

    async def get_ready(self) -> None:
        """Know what others may have left. Raises LeaseLost, and as `ask`."""
        if not self.lease.left_s:
            self.forget()
            raise LeaseLost
        if not self._knows:
            known = await self.query(stored.read_known, self.platform)
            self.retries.load(known.pending_retries)
            self.stopped = known.stopped
            self._knows = True

    def forget(self) -> None:
        """What is known here may not be so any more: it is looked at again."""
        self._knows = False

    async def query(self, read: Callable[..., Answer], *arguments: Any) -> Answer:
        """Read something. Raises Overloaded, Stopped and Unavailable."""
        return await self._reads.run(Query(read, arguments, cost="batch"))

    async def submit(self, command: Command) -> None:
        """Have something remembered. Raises Overloaded, Stopped and Unavailable."""
        await self._commands.submit(command)

    async def record_failures(self, events: Sequence[FailedEvent]) -> None:
        """Have failed_events remembered, a few at a time."""
        for start in range(0, len(events), _NOTED_AT_ONCE):
            await self.submit(RecordFailures(tuple(events[start : start + _NOTED_AT_ONCE])))

    async def send_batches(self, some: EventBatches, read_outbox_ids: Callable[..., list[int]]) -> int:
        """Send event_batches of events, and have remembered which were not taken: how many events they are.

        `read_outbox_ids` finds their places in the outbox. Raises as `send`, `ask` and `note`.
        """
        events = some.lines.encode().split(b"\n") if some.lines else []
        held = self.retries.blocked(events)
        waiting = {each.place for each in held}
        free = [place for place in range(len(events)) if place not in waiting]
        unsent = await self.send([events[place] for place in free])
        if unsent or held:
            log.warning("events not taken", events=len(unsent), blocked=len(held))
            places = await self.query(read_outbox_ids, some.event_batches)
            unsent = [*held, *(each._replace(place=free[each.place]) for each in unsent)]
            await self.record_failures(self.retries.remember(unsent, places))
        return len(events)

    async def send(self, events: Sequence[bytes]) -> list[Unsent]:
        """Send these, only while this relay holds the lease: those that were not taken.

        Raises Later, Gone and LeaseLost.
        """
        if not events:
            return []
        sending = asyncio.create_task(dispatch(self._sink, events))
        try:
            while not sending.done():
                left_s = self.lease.left_s
                if not left_s:
                    self.forget()
                    raise LeaseLost
                await asyncio.wait({sending}, timeout=min(left_s, 1.0))
        finally:
            if not sending.done():
                sending.cancel()
                with suppress(Exception, asyncio.CancelledError):
                    await sending
        unsent = sending.result()
        self.sent_events += len(events) - len(unsent)
        return unsent

    async def close(self) -> None:
        """Let go of the platform."""
        await self._sink.close()
