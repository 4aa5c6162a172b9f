"""The sender: the way to the platform for everything that sends, open only while this relay holds the lease."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, TypeVar

import structlog
from msgspec.structs import replace

from jangteo.core.book import Command
from jangteo.core.entities import FailedEvent
from jangteo.core.relay import RecordFailures
from jangteo.delivery.blocked_orders import BlockedOrders
from jangteo.delivery.lease import RelayLease
from jangteo.delivery.ordering import Unsent, dispatch
from jangteo.delivery.retry_schedule import failed_event
from jangteo.delivery.sinks.base import Sink
from jangteo.engine.commands import Commands
from jangteo.engine.reads import Reads
from jangteo.storage import platform_status, retry_queue
from jangteo.storage.outbox import EventBatches
from jangteo.storage.port import Query

log = structlog.get_logger()

Result = TypeVar("Result")
_FAILURES_PER_COMMAND: Final = 100


class LeaseLost(Exception):
    """The lease is not, or no longer, held by this relay."""


class Sender:
    """One platform and the shop whose events it receives.

    Whoever sends holds `lock` from reading what to send until the result is recorded.
    """

    def __init__(self, commands: Commands, reads: Reads, sink: Sink, lease: RelayLease, platform: str) -> None:
        """`platform` is the name that operators see."""
        self._commands = commands
        self._reads = reads
        self._sink = sink
        self._lease = lease
        self._platform = platform
        self._lock = asyncio.Lock()
        self._blocked = BlockedOrders()
        self._stopped = False
        self._failing = False
        self._sent_events = 0
        self._is_loaded = False

    @property
    def lock(self) -> asyncio.Lock:
        """Held by the loop that sends."""
        return self._lock

    @property
    def platform(self) -> str:
        """The platform's name, as operators see it."""
        return self._platform

    @property
    def blocked(self) -> BlockedOrders:
        """The orders whose events must wait for the retry queue."""
        return self._blocked

    @property
    def stopped(self) -> bool:
        """Whether the platform wants no more events, and no operator has resumed it."""
        return self._stopped

    @property
    def failing(self) -> bool:
        """Whether the last attempt to publish new events failed."""
        return self._failing

    @property
    def sent_events(self) -> int:
        """How many events were sent since this process started."""
        return self._sent_events

    def start(self) -> None:
        """Start acquiring the lease."""
        self._lease.start()

    async def wait_for_lease(self) -> None:
        """Wait until this relay holds the lease."""
        await self._lease.wait_until_held()

    def wake(self) -> None:
        """End the current or next `wait_for_events`."""
        self._commands.notify()

    def clear_wake(self) -> None:
        """Disregard earlier commits and wakes: call it before reading the outbox, which shows what they were about."""
        self._commands.clear_notification()

    async def wait_for_events(self, timeout_s: float) -> None:
        """Wait until events are committed in this process, or `wake` is called, since `clear_wake`; or the timeout."""
        await self._commands.wait_for_events(timeout_s)

    def mark_stopped(self, *, stopped: bool = True) -> None:
        """The platform wants no more events; or, with `stopped=False`, an operator has resumed it."""
        self._stopped = stopped

    def mark_failing(self) -> None:
        """New events are on their way: until `mark_delivered`, the platform counts as failing."""
        self._failing = True

    def mark_delivered(self) -> None:
        """The platform has taken all new events there were."""
        self._failing = False

    async def get_ready(self) -> None:
        """Load what other relays may have changed. Raises LeaseLost, and what `query` raises."""
        if not self._lease.remaining_s:
            self.invalidate()
            raise LeaseLost
        if not self._is_loaded:
            self._blocked.load(await self.query(retry_queue.read_pending))
            self._stopped = await self.query(platform_status.read_stopped, self._platform)
            self._is_loaded = True

    def invalidate(self) -> None:
        """Have `get_ready` load everything again."""
        self._is_loaded = False

    async def query(self, read: Callable[..., Result], *arguments: Any) -> Result:
        """Read from the database. Raises Overloaded, Stopped and Unavailable."""
        return await self._reads.run(Query(read, arguments, cost="batch"))

    async def submit(self, command: Command) -> None:
        """Have a command committed. Raises Overloaded, Stopped and Unavailable."""
        await self._commands.submit(command)

    async def record_failures(self, events: Sequence[FailedEvent]) -> None:
        """Put events into the retry queue, or update them there. Raises what `submit` raises."""
        for event in events:
            self._blocked.update(event)
        for start in range(0, len(events), _FAILURES_PER_COMMAND):
            await self.submit(RecordFailures(tuple(events[start : start + _FAILURES_PER_COMMAND])))

    async def send_batches(self, batches: EventBatches, read_outbox_ids: Callable[..., list[int]]) -> int:
        """Send event batches, record the events that weren't accepted, and return how many events there were.

        `read_outbox_ids` finds the events' outbox ids. Raises what `send`, `query` and `submit` raise.
        """
        events = batches.lines.encode().split(b"\n") if batches.lines else []
        blocked = self._blocked.select(events)
        blocked_indexes = {each.index for each in blocked}
        free = [index for index in range(len(events)) if index not in blocked_indexes]
        unsent = await self.send([events[index] for index in free])
        if unsent or blocked:
            log.warning("events not accepted", events=len(unsent), blocked=len(blocked))
            outbox_ids = await self.query(read_outbox_ids, batches.event_batches)
            unsent = [*blocked, *(replace(each, index=free[each.index]) for each in unsent)]
            await self.record_failures([failed_event(each, outbox_ids[each.index], attempts=0) for each in unsent])
        return len(events)

    async def send(self, events: Sequence[bytes]) -> list[Unsent]:
        """Send events while this relay holds the lease, and return those that weren't accepted.

        Raises PlatformUnavailable, PlatformGone and LeaseLost.
        """
        if not events:
            return []
        sending = asyncio.create_task(dispatch(self._sink, events))
        try:
            while not sending.done():
                remaining_s = self._lease.remaining_s
                if not remaining_s:
                    self.invalidate()
                    raise LeaseLost
                await asyncio.wait({sending}, timeout=min(remaining_s, 1.0))
        finally:
            if not sending.done():
                sending.cancel()
                with suppress(Exception, asyncio.CancelledError):
                    await sending
        unsent = sending.result()
        self._sent_events += len(events) - len(unsent)
        return unsent

    async def close(self) -> None:
        """Release the lease, then close the connection to the platform."""
        await self._lease.release()
        await self._sink.close()
