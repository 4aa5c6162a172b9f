"""What the relay does besides telling what is new: rejected events again, replays, forgetting, and reporting.

It does some of it between new events, so that they don't wait.
"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from jangteo.core.deliveries import ForgetEvents, NoteAccepted, NoteReplay, ReportPlatform
from jangteo.delivery.outbound import Outbound
from jangteo.storage import chores as stored
from jangteo.storage import outbox
from jangteo.storage.chores import Replay, Trial
from jangteo.storage.outbox import Bundles

EVERY_S: Final = 1.0
REPORTED_EVERY_S: Final = 2.0
FORGOTTEN_EVERY_S: Final = 60.0
_TRIALS_AT_ONCE: Final = 500
_REPLAYED_AT_ONCE: Final = 500
"""New events come in between."""


class Chores:
    """Done by the relay, one after the other, while it is its turn."""

    def __init__(self, outbound: Outbound, kept_for: timedelta) -> None:
        """`kept_for`: so long an event is kept after it was sent."""
        self._outbound = outbound
        self._kept_for = kept_for
        self.stopped = False
        """Whether the platform wants no more, and no operator has said otherwise."""
        self._replay: Replay | None = None
        self._due_at = 0.0
        self._failure: str | None = None
        self._reported_at = 0.0
        self._reported_events = 0
        self._forgetting_at = 0.0
        self._forgotten_up_to = 0

    async def begin(self) -> None:
        """It is our turn again: what is remembered of others' may have changed."""
        self._outbound.trials.load(await self._outbound.ask(stored.read_in_trial))
        self._due_at = 0.0
        self._reported_at, self._reported_events = asyncio.get_running_loop().time(), self._outbound.sent_events

    async def tend(self) -> None:
        """Look what there is to do, once a second, and try again what is due. Raises what sending raises."""
        now = asyncio.get_running_loop().time()
        if now < self._due_at:
            return
        found = await self._outbound.ask(stored.read_chores, self._outbound.platform, _TRIALS_AT_ONCE)
        self._due_at = now + EVERY_S
        self.stopped, self._replay = found.stopped, found.replay
        await self._report_progress(now)
        due = [] if self.stopped else self._outbound.trials.first_of_each(found.trials)
        if due:
            await self._try_again(due)
            # There may be more, and what has waited for these is due now.
            self._due_at = now

    async def note_failure(self, failure: str, *, stopped: bool = False) -> None:
        """Tell operators that the platform can't be told, or wants no more. Raises as `Outbound.note`."""
        self.stopped = stopped
        now = asyncio.get_running_loop().time()
        if stopped or failure != self._failure or now - self._reported_at >= REPORTED_EVERY_S:
            self._failure = failure
            await self._report(now)

    async def replay_some(self) -> bool:
        """The next events of a replay: whether there may be more to do at once. Raises what sending raises."""
        replay = self._replay
        if replay is None:
            return False
        span = (replay.since, replay.until)
        some = await self._outbound.ask(
            outbox.read_sent, span, replay.done_bundle, replay.last_bundle, _REPLAYED_AT_ONCE
        )
        if some is None:
            await self._outbound.note(NoteReplay(replay.replay, replay.last_bundle, replay.events, finished=True))
            self._replay = None
            return True
        events = await self._send_again(some)
        # An operator may have ended it meanwhile: that is looked at once a second.
        self._replay = replay._replace(done_bundle=some.bundles[-1], events=replay.events + events)
        await self._outbound.note(
            NoteReplay(replay.replay, self._replay.done_bundle, self._replay.events, finished=False)
        )
        return True

    async def forget_some(self) -> bool:
        """A bite of what was sent long enough ago: whether there may be more. Raises as `Outbound.note`."""
        now = asyncio.get_running_loop().time()
        # What is being sent again is still needed.
        if now < self._forgetting_at or self._replay is not None:
            return False
        some = await self._outbound.ask(stored.read_forgettable, self._forgotten_up_to, self._kept_for)
        if some is None:
            self._forgotten_up_to, self._forgetting_at = 0, now + FORGOTTEN_EVERY_S
            return False
        if some.some:
            await self._outbound.note(ForgetEvents(some.first, some.last, self._kept_for.total_seconds()))
        self._forgotten_up_to = some.last
        return True

    async def _try_again(self, due: Sequence[Trial]) -> None:
        trials = self._outbound.trials
        unsent = {each.place: each for each in await self._outbound.send([trial.text.encode() for trial in due])}
        accepted = [trial for place, trial in enumerate(due) if place not in unsent]
        await self._outbound.note_rejected([trials.remember_again(due[place], each) for place, each in unsent.items()])
        if accepted:
            await self._outbound.note(NoteAccepted(tuple(trial.event for trial in accepted)))
        for trial in accepted:
            trials.settled(trial.event, trial.order_id)

    async def _send_again(self, some: Bundles) -> int:
        events = some.lines.encode().split(b"\n") if some.lines else []
        unsent = await self._outbound.send_in_order(events) if events else []
        if unsent:
            places = await self._outbound.ask(outbox.read_places_of_sent, some.bundles)
            await self._outbound.note_rejected(self._outbound.trials.remember(unsent, places))
        return len(events)

    async def _report_progress(self, now: float) -> None:
        sent = self._outbound.sent_events > self._reported_events
        if sent and (self._failure is not None or now - self._reported_at >= REPORTED_EVERY_S):
            self._failure = None
            await self._report(now)

    async def _report(self, now: float) -> None:
        sent, within_s = self._outbound.sent_events - self._reported_events, now - self._reported_at
        self._reported_at, self._reported_events = now, self._outbound.sent_events
        await self._outbound.note(ReportPlatform(self._outbound.platform, self._failure, self.stopped, sent, within_s))
