"""What the relay does besides telling what is new: rejected events again, replays, forgetting, and reporting.

Each piece is small, and new events come in between.
"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from time import monotonic
from typing import Final

from jangteo.core.relay import PurgeEvents, RecordDelivered, RecordReplayProgress
from jangteo.delivery.reports import Reports
from jangteo.delivery.sender import Sender
from jangteo.storage import chores as stored
from jangteo.storage import outbox
from jangteo.storage.chores import DueRetry, Replay

EVERY_S: Final = 1.0
PURGE_EVERY_S: Final = 60.0
CHUNK_PAUSE_S: Final = 0.02
"""Between two pieces of work."""
_TRIALS_AT_ONCE: Final = 200
_REPLAYED_AT_ONCE: Final = 500


class Maintenance:
    """The other one of the relay's tasks."""

    def __init__(self, sender: Sender, reports: Reports, retention: timedelta) -> None:
        """`retention`: so long an event is kept after it was sent."""
        self._sender = sender
        self._reports = reports
        self._retention = retention
        self._purge_due_at = 0.0
        self._purged_up_to = 0

    async def step(self) -> bool:
        """A piece of each: whether there may be more to do at once. Raises what sending raises."""
        async with self._sender.at_work:
            await self._sender.get_ready()
            found = await self._sender.query(stored.read_due, self._sender.platform, _TRIALS_AT_ONCE)
            self._sender.stopped = found.stopped
        await self._reports.progress()
        # What is being sent again is still needed.
        more = found.replay is None and await self._purge_some()
        if self._sender.stopped or self._sender.failing:
            return more
        if found.retries:
            more = True
            await self._try_again(found.retries)
        if found.replay is not None:
            more = True
            await self._replay_some(found.replay)
        return more

    async def rest(self, more: bool) -> None:  # noqa: FBT001 - what `step` says
        """Until the next piece."""
        await asyncio.sleep(CHUNK_PAUSE_S if more else EVERY_S)

    async def _try_again(self, due: Sequence[DueRetry]) -> None:
        retries = self._sender.retries
        async with self._sender.at_work:
            for trial in due:
                # An operator may have asked for it meanwhile.
                retries.add(trial.event, trial.order_id)
            events = [trial.text.encode() for trial in due]
            unsent = {each.place: each for each in await self._sender.send(events)}
            accepted = [trial for place, trial in enumerate(due) if place not in unsent]
            again = [retries.remember_again(due[place], each) for place, each in unsent.items()]
            await self._sender.record_failures(again)
            if accepted:
                await self._sender.submit(RecordDelivered(tuple(trial.event for trial in accepted)))
            for trial in accepted:
                retries.settled(trial.event, trial.order_id)

    async def _replay_some(self, replay: Replay) -> None:
        span, done, last = (replay.since, replay.until), replay.done_batch, replay.last_batch
        async with self._sender.at_work:
            some = await self._sender.query(outbox.read_sent, span, done, last, _REPLAYED_AT_ONCE)
            if some is None:
                note = RecordReplayProgress(replay.replay, last, replay.events, finished=True)
            else:
                events = await self._sender.send_batches(some, outbox.read_outbox_ids_of_sent)
                note = RecordReplayProgress(
                    replay.replay, some.event_batches[-1], replay.events + events, finished=False
                )
            await self._sender.submit(note)

    async def _purge_some(self) -> bool:
        """A bite of what was sent long enough ago: whether there may be more."""
        if monotonic() < self._purge_due_at:
            return False
        some = await self._sender.query(stored.read_purgeable, self._purged_up_to, self._retention)
        if some is None:
            self._purged_up_to, self._purge_due_at = 0, monotonic() + PURGE_EVERY_S
            return False
        if some.event_batches:
            await self._sender.submit(PurgeEvents(some.event_batches, self._retention.total_seconds()))
        self._purged_up_to = some.looked_up_to
        return True
