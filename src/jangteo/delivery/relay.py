"""The relay: wakes with every commit that tells of events, sends them in order, has them marked as sent.

They are marked after sending, so after a crash the last events may be sent again, with the same ids; none is ever left
out. Orders don't wait for the relay, and don't notice when the platform is gone.

Where several processes serve one shop it is the turn of one relay at a time; another takes over when it dies.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Final

import structlog

from jangteo.core.upkeep import MarkSent
from jangteo.delivery.chores import Chores
from jangteo.delivery.outbound import Outbound, TurnLost
from jangteo.delivery.patience import Patience
from jangteo.delivery.sinks import Gone, Later
from jangteo.delivery.turns import RENEWED_EVERY_S
from jangteo.engine.lane import Overloaded, Stopped
from jangteo.storage import outbox
from jangteo.storage.errors import Unavailable

log = structlog.get_logger()

BATCH_MAX: Final = 2_000
PACE_S: Final = 0.02
"""Events go out no more often than this; the first after a quiet moment goes at once."""
RUSH: Final = 100
RUSH_PACE_S: Final = 0.05
"""The pace while more than RUSH events go out at once: each time takes what the orders need themselves."""
FAREWELL_S: Final = 2.0
"""So long a closing shop waits for the platform to take what is left."""
LOOK_EVERY_S: Final = 0.03
"""Where others commit too, nobody says so: so often the relay whose turn it is looks for events."""
CHORES_EVERY_S: Final = 1.0
"""So long it waits at most where it is told of events: an operator may want something."""


class Relay:
    """One task that sends what is in the outbox."""

    def __init__(self, outbound: Outbound, *, kept_for: timedelta, others_commit: bool) -> None:
        """`kept_for`: so long events are kept after they were sent. `others_commit`: also where nobody says so here."""
        self._outbound = outbound
        self._chores = Chores(outbound, kept_for)
        self._wait_s = LOOK_EVERY_S if others_commit else CHORES_EVERY_S
        self._patience = Patience()
        self._running: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        self._sent: set[int] = set()
        """Bundles that were sent and are not marked yet."""
        self._has_begun = False

    def start(self) -> None:
        """Go on where the outbox was left."""
        self._running = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Send what is left, if the platform takes it soon; otherwise it waits in the outbox for the next start."""
        self._closing.set()
        self._outbound.events_told.set()
        if self._running is not None:
            await asyncio.wait({self._running}, timeout=FAREWELL_S)
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
        await self._outbound.close()

    async def _run(self) -> None:
        while True:
            try:
                if await self._outbound.is_mine():
                    await self._work()
                else:
                    self._has_begun = False
                if self._closing.is_set():
                    return
                await self._wait()
            except Stopped:
                return
            except TurnLost:
                self._has_begun = False
            except Exception as error:  # noqa: BLE001 - a defect holds events up, and is told; it doesn't end the relay
                if self._closing.is_set():
                    return
                await self._be_patient(error)

    async def _wait(self) -> None:
        """Until there may be something to do."""
        told, wait_s = self._outbound.events_told, self._wait_s
        if not self._has_begun:
            # It is another's turn.
            told, wait_s = self._closing, RENEWED_EVERY_S
        with suppress(TimeoutError):
            await asyncio.wait_for(told.wait(), wait_s)

    async def _work(self) -> None:
        """All there is to do."""
        if not self._has_begun:
            await self._chores.begin()
            self._has_begun = True
        while True:
            # Cleared before looking: what is told from here on is found now or wakes the relay again.
            self._outbound.events_told.clear()
            await self._chores.tend()
            if self._chores.stopped:
                return
            events = await self._tell_waiting()
            replayed = await self._chores.replay_some()
            self._patience.reset()
            if not (events or replayed or await self._chores.forget_some()):
                return
            await asyncio.sleep(0 if replayed else _pause_s(events))
            if not await self._outbound.is_mine():
                raise TurnLost

    async def _tell_waiting(self) -> int:
        """Send the events that have waited longest, and have them marked: how many there were."""
        waiting = await self._outbound.ask(outbox.read_waiting, frozenset(self._sent), BATCH_MAX)
        if waiting is None:
            return 0
        events = waiting.lines.encode().split(b"\n")
        await self._send(events, waiting.bundles)
        self._sent.update(waiting.bundles)
        await self._mark()
        return len(events)

    async def _send(self, events: Sequence[bytes], bundles: tuple[int, ...]) -> None:
        unsent = await self._outbound.send_in_order(events)
        if not unsent:
            return
        held = sum(each.reason is None for each in unsent)
        log.warning("events not taken", events=len(unsent) - held, held_up=held)
        places = await self._outbound.ask(outbox.read_places, bundles)
        await self._outbound.note_rejected(self._outbound.trials.remember(unsent, places))

    async def _mark(self) -> None:
        try:
            await self._outbound.note(MarkSent(tuple(sorted(self._sent))))
        except (Overloaded, Unavailable) as error:
            # They are marked with the next ones; what was sent isn't sent again meanwhile.
            log.warning("events not marked as sent yet", bundles=len(self._sent), reason=repr(error))
        else:
            self._sent.clear()

    async def _be_patient(self, error: Exception) -> None:
        """Wait, longer each time, and keep the turn."""
        of_platform = isinstance(error, Gone | Later)
        # What is remembered may be different, where that wasn't the platform's fault.
        self._has_begun = self._has_begun and of_platform
        pause_s = self._patience.next_pause_s(error.after_s if isinstance(error, Later) else None)
        _log(error, pause_s)
        end = asyncio.get_running_loop().time() + pause_s
        try:
            if of_platform:
                await self._chores.note_failure(str(error), stopped=isinstance(error, Gone))
            await self._rest(end)
        except (Overloaded, Stopped, Unavailable):
            # Nobody can be told now.
            await asyncio.sleep(pause_s)

    async def _rest(self, end: float) -> None:
        while (left_s := end - asyncio.get_running_loop().time()) > 0 and not self._closing.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), min(left_s, RENEWED_EVERY_S))
            if not await self._outbound.is_mine():
                return


def _log(error: Exception, pause_s: float) -> None:
    if isinstance(error, Gone):
        log.error("the platform wants no more events", reason=str(error))
    elif isinstance(error, Later | Overloaded | Unavailable):
        log.warning("events wait", reason=str(error) or type(error).__name__, again_in_s=round(pause_s, 3))
    else:
        log.error("defect", exc_info=error)


def _pause_s(events: int) -> float:
    """How long the next events gather; where there were as many as can be, what waits goes at once."""
    if events >= BATCH_MAX:
        return 0
    return RUSH_PACE_S if events > RUSH else PACE_S
