"""Publisher the platform what is new: event_batch by event_batch, the oldest first, each marked as sent when it was."""

import asyncio
from contextlib import suppress
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
"""Events go out no more often than this; the first after a quiet moment goes at once."""
RUSH: Final = 100
RUSH_PACE_S: Final = 0.05
"""The pace while more than RUSH events go out at once: each time takes what the orders need themselves."""
LOOK_EVERY_S: Final = 0.02
"""Where others commit too, nobody says so: so often the relay whose turn it is looks for events."""
LOOK_SOMETIMES_S: Final = 5.0
"""So often it looks where it is told."""
PENDING_RETRIES_MAX: Final = 100_000
"""With events of so many orders rejected and not set aside yet, it is the platform that is waited for."""


class Publisher:
    """One of the relay's tasks."""

    def __init__(self, sender: Sender, *, others_commit: bool) -> None:
        """`others_commit`: events may come also where nobody says so here."""
        self._sender = sender
        self._look_every_s = LOOK_EVERY_S if others_commit else LOOK_SOMETIMES_S
        self._sent: set[int] = set()
        """EventBatches that were sent and are not marked yet."""
        self._marking: asyncio.Task[bool] | None = None
        self._begun_at = 0.0

    async def step(self) -> int:
        """Send the events that have waited longest, and have them marked: how many there were.

        Raises what sending raises.
        """
        self._begun_at = monotonic()
        # Cleared before looking: what is told from here on is found now or makes `rest` end at once.
        self._sender.events_committed.clear()
        async with self._sender.at_work:
            await self._sender.get_ready()
            if self._sender.stopped or len(self._sender.retries) >= PENDING_RETRIES_MAX:
                return 0
            waiting = await self._sender.query(outbox.read_waiting, frozenset(self._sent), BATCH_MAX)
            events = 0
            if waiting is not None:
                self._sender.failing = True
                events = await self._sender.send_batches(waiting, outbox.read_outbox_ids)
                self._sent.update(waiting.event_batches)
            self._sender.failing = False
        self._mark()
        return events

    async def rest(self, events: int) -> None:
        """Let the next events gather, after so many; without any, until there may be some."""
        if events:
            await asyncio.sleep(max(self._begun_at + _pace_s(events) - monotonic(), 0))
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(self._sender.events_committed.wait(), self._look_every_s)

    async def finish(self) -> None:
        """Have marked what was sent."""
        while self._marking is not None or self._sent:
            self._mark()
            if self._marking is not None and not await self._marking:
                return

    def _mark(self) -> None:
        """Have it marked what was sent, while the next events are looked for: those are not looked at again."""
        if self._sent and self._marking is None:
            self._marking = asyncio.create_task(self._mark_now(frozenset(self._sent)))

    async def _mark_now(self, event_batches: frozenset[int]) -> bool:
        try:
            await self._sender.submit(MarkSent(tuple(sorted(event_batches))))
        except (Overloaded, Stopped, Unavailable) as error:
            # They are marked with the next ones.
            log.warning("events not marked as sent yet", event_batches=len(event_batches), reason=repr(error))
            return False
        else:
            self._sent -= event_batches
            return True
        finally:
            self._marking = None


def _pace_s(events: int) -> float:
    """Where there were as many as can be, what waits goes at once."""
    if events >= BATCH_MAX:
        return 0
    return RUSH_PACE_S if events > RUSH else PACE_S
