"""The relay: wakes with every commit that tells of events, sends them in order, has them marked as sent.

They are marked after sending, so after a crash the last events may be sent again, with the same ids; none is ever left
out. Orders don't wait for the relay, and don't notice when the platform is gone.

Where several processes serve one shop it is the turn of one relay at a time; another takes over when it dies.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, Final
from uuid import uuid4

import msgspec
import structlog

from jangteo.core.upkeep import HoldRelay, MarkSent, Turn
from jangteo.delivery.sinks import Sink
from jangteo.engine.committing import Committing
from jangteo.engine.lane import Overloaded, Stopped
from jangteo.engine.reading import Reading
from jangteo.storage import outbox
from jangteo.storage.errors import Unavailable
from jangteo.storage.port import Question

log = structlog.get_logger()

BATCH_MAX: Final = 2_000
PACE_S: Final = 0.02
"""Events go out no more often than this; the first after a quiet moment goes at once."""
RUSH: Final = 100
RUSH_PACE_S: Final = 0.05
"""The pace while more than RUSH events go out at once: each time takes what the orders need themselves."""
FIRST_PAUSE_S: Final = 0.05
LONGEST_PAUSE_S: Final = 10.0
FAREWELL_S: Final = 2.0
"""So long a closing shop waits for the platform to take what is left."""
LOOK_EVERY_S: Final = 0.03
"""Where others commit too, nobody says so: so often the relay whose turn it is looks for events."""
TURN_S: Final = 6.0
TURN_RENEWED_EVERY_S: Final = 2.0


class Relay:
    """One task that sends what is in the outbox. `shared`: other processes may serve the same shop."""

    def __init__(self, committing: Committing, reading: Reading, sink: Sink, *, shared: bool) -> None:
        self._committing = committing
        self._reading = reading
        self._sink = sink
        self._shared = shared
        self._name = uuid4().hex
        self._running: asyncio.Task[None] | None = None
        self._writing: asyncio.Future[None] | None = None
        self._closing = asyncio.Event()
        self._sent: set[int] = set()
        self._turn_renewed_at: float | None = None

    def start(self) -> None:
        """Go on where the outbox was left."""
        self._running = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Send what is left, if the platform takes it soon; otherwise it waits in the outbox for the next start."""
        self._closing.set()
        self._committing.events_told.set()
        if self._running is not None:
            await asyncio.wait({self._running}, timeout=FAREWELL_S)
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
        if self._writing is not None:
            # A thread can't be cancelled: what it is writing, it writes to the end.
            await asyncio.gather(self._writing, return_exceptions=True)
        if self._turn_renewed_at is not None:
            await self._give_turn_back()
        self._sink.close()

    async def _run(self) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                if not self._shared or await self._has_turn():
                    await self._send_all()
                pause_s = FIRST_PAUSE_S
                if self._closing.is_set():
                    return
                await self._wait()
            except Stopped:
                return
            except (OSError, Overloaded, Unavailable) as error:
                log.warning("events wait", reason=repr(error), again_in_s=pause_s)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _wait(self) -> None:
        """Until there may be something to do."""
        if not self._shared:
            await self._committing.events_told.wait()
        elif self._turn_renewed_at is None:
            await _or_after(self._closing.wait(), TURN_RENEWED_EVERY_S)
        else:
            await _or_after(self._committing.events_told.wait(), LOOK_EVERY_S)

    async def _has_turn(self) -> bool:
        now = asyncio.get_running_loop().time()
        if self._turn_renewed_at is None or now - self._turn_renewed_at > TURN_RENEWED_EVERY_S:
            self._turn_renewed_at = None
            told = await self._committing.submit(HoldRelay(self._name, TURN_S))
            if msgspec.json.decode(told.body, type=Turn).held:
                self._turn_renewed_at = now
        return self._turn_renewed_at is not None

    async def _give_turn_back(self) -> None:
        try:
            await self._committing.submit(HoldRelay(self._name, 0))
        except (Overloaded, Stopped, Unavailable):
            # It ends by itself.
            return

    async def _send_all(self) -> None:
        while True:
            # Cleared before looking: what is told from here on is found now or wakes the relay again.
            self._committing.events_told.clear()
            waiting = await self._reading.ask(
                Question(outbox.read_waiting, (frozenset(self._sent), BATCH_MAX), takes_long=True)
            )
            if waiting is None:
                return
            events = waiting.lines.encode().split(b"\n")
            # Reading may have taken longer than the turn lasts.
            if self._shared and not await self._has_turn():
                return
            await self._send(events)
            self._sent.update(waiting.bundles)
            await self._mark()
            await asyncio.sleep(_pause_s(len(events)))
            if self._shared and not await self._has_turn():
                return

    async def _mark(self) -> None:
        try:
            await self._committing.submit(MarkSent(tuple(sorted(self._sent))))
        except (Overloaded, Unavailable) as error:
            # They are marked with the next ones; what was sent isn't sent again meanwhile.
            log.warning("events not marked as sent yet", bundles=len(self._sent), reason=repr(error))
        else:
            self._sent.clear()

    async def _send(self, events: Sequence[bytes]) -> None:
        self._writing = asyncio.ensure_future(asyncio.to_thread(self._sink.send, events))
        await asyncio.shield(self._writing)


async def _or_after(told: Coroutine[Any, Any, Any], seconds: float) -> None:
    try:
        await asyncio.wait_for(told, seconds)
    except TimeoutError:
        return


def _pause_s(events: int) -> float:
    """How long the next events gather; where there were as many as can be, what waits goes at once."""
    if events >= BATCH_MAX:
        return 0
    return RUSH_PACE_S if events > RUSH else PACE_S
