"""The publisher: sends new event batches, oldest first, and marks each as sent afterwards."""

import asyncio
from time import monotonic
from typing import Final

import structlog

from jangteo.core.relay import MarkSent
from jangteo.delivery.sender import Sender
from jangteo.engine.worker_pool import Overloaded, Stopped
from jangteo.storage import outbox
from jangteo.storage.errors import Unavailable

log = structlog.get_logger()

BATCH_MAX: Final = 2_000
PACE_S: Final = 0.02
"""The least time between two sends; the first events after an idle time are sent at once."""
BUSY_EVENTS: Final = 100
BUSY_PACE_S: Final = 0.05
"""The pace while a send has more than BUSY_EVENTS: each send takes time that the orders need themselves."""
POLL_INTERVAL_S: Final = 0.02
"""How often the leader reads the outbox when other processes commit too, which nobody notifies it of."""
FALLBACK_POLL_INTERVAL_S: Final = 5.0
"""How often it reads the outbox when every commit notifies it."""
BLOCKED_ORDERS_MAX: Final = 100_000
"""With this many blocked orders, nothing new is sent until the platform has accepted or finally rejected some."""


class Publisher:
    """The relay's loop that sends new events."""

    def __init__(self, sender: Sender, *, others_commit: bool) -> None:
        """`others_commit`: other processes commit events too, without a notification here."""
        self._sender = sender
        self._poll_interval_s = POLL_INTERVAL_S if others_commit else FALLBACK_POLL_INTERVAL_S
        self._unmarked: set[int] = set()
        """Event batches that were sent and are not marked as sent yet."""
        self._marking: asyncio.Task[bool] | None = None
        self._started_at = 0.0

    async def step(self) -> int:
        """Send the oldest events, start marking them as sent, and return how many there were.

        Raises what sending raises.
        """
        self._started_at = monotonic()
        # Cleared before reading: an event committed from here on is either read now or ends the next `rest` at once.
        self._sender.clear_wake()
        async with self._sender.lock:
            await self._sender.get_ready()
            if self._sender.stopped or len(self._sender.blocked) >= BLOCKED_ORDERS_MAX:
                return 0
            batches = await self._sender.query(outbox.read_waiting, frozenset(self._unmarked), BATCH_MAX)
            events = 0
            if batches is not None:
                self._sender.mark_failing()
                events = await self._sender.send_batches(batches, outbox.read_outbox_ids)
                self._unmarked.update(batches.event_batches)
            self._sender.mark_delivered()
        self._start_marking()
        return events

    async def rest(self, events: int) -> None:
        """After a step that sent events, keep the pace; otherwise wait for events."""
        if events:
            await asyncio.sleep(max(self._started_at + _pace_s(events) - monotonic(), 0))
        else:
            await self._sender.wait_for_events(self._poll_interval_s)

    async def finish(self) -> None:
        """Mark what was sent; give up at the first failure."""
        while self._marking is not None or self._unmarked:
            self._start_marking()
            if self._marking is not None and not await self._marking:
                return

    def _start_marking(self) -> None:
        """Mark sent event batches while the next ones are being read and sent."""
        if self._unmarked and self._marking is None:
            self._marking = asyncio.create_task(self._mark(frozenset(self._unmarked)))

    async def _mark(self, event_batches: frozenset[int]) -> bool:
        try:
            await self._sender.submit(MarkSent(tuple(sorted(event_batches))))
        except (Overloaded, Stopped, Unavailable) as error:
            # They are marked together with the next ones.
            log.warning("marking as sent postponed", event_batches=len(event_batches), reason=repr(error))
            return False
        else:
            self._unmarked -= event_batches
            return True
        finally:
            self._marking = None


def _pace_s(events: int) -> float:
    """Return the pause after sending this many events: none after a full send, since more are waiting."""
    if events >= BATCH_MAX:
        return 0
    return BUSY_PACE_S if events > BUSY_EVENTS else PACE_S
