"""The relay: wakes with every commit that tells of events, sends them in order, remembers how far it came.

The position is remembered after sending, so after a crash the last events may be sent again, with the same ids;
none is ever left out. Orders don't wait for the relay, and don't notice when the platform is gone.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog

from jangteo.core.upkeep import MoveRelay
from jangteo.delivery.sinks import Sink
from jangteo.engine.committing import Committing
from jangteo.engine.lane import Overloaded, Stopped
from jangteo.engine.reading import Reading
from jangteo.storage import outbox
from jangteo.storage.errors import Unavailable
from jangteo.storage.port import Question

log = structlog.get_logger()

PLATFORM: Final = "platform"
"""There is one platform; this is the name that its position is kept under."""
BATCH_MAX: Final = 2_000
PACE_S: Final = 0.02
"""Events go out in bundles, no more often than this; the first after a quiet moment goes at once."""
RUSH: Final = 100
RUSH_PACE_S: Final = 0.05
"""The pace while bundles are larger than RUSH: each takes time that the orders need themselves."""
FIRST_PAUSE_S: Final = 0.05
LONGEST_PAUSE_S: Final = 10.0
FAREWELL_S: Final = 2.0
"""So long a closing shop waits for the platform to take what is left."""


class Relay:
    """One task that sends what is in the outbox."""

    def __init__(self, committing: Committing, reading: Reading, sink: Sink) -> None:
        self._committing = committing
        self._reading = reading
        self._sink = sink
        self._running: asyncio.Task[None] | None = None
        self._writing: asyncio.Future[None] | None = None
        self._stopping = False
        self._position: int | None = None

    def start(self) -> None:
        """Go on where the outbox was left."""
        self._running = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Send what is left, if the platform takes it soon; otherwise it waits in the outbox for the next start."""
        self._stopping = True
        self._committing.events_told.set()
        if self._running is not None:
            await asyncio.wait({self._running}, timeout=FAREWELL_S)
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
        if self._writing is not None:
            # A thread can't be cancelled: what it is writing, it writes to the end.
            await asyncio.gather(self._writing, return_exceptions=True)
        self._sink.close()

    async def _run(self) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                await self._send_all()
                pause_s = FIRST_PAUSE_S
                if self._stopping:
                    return
                await self._committing.events_told.wait()
            except Stopped:
                return
            except (OSError, Overloaded, Unavailable) as error:
                log.warning("events wait", reason=repr(error), again_in_s=pause_s)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _send_all(self) -> None:
        if self._position is None:
            self._position = await self._reading.ask(Question(outbox.read_position, (PLATFORM,)))
        while True:
            # Cleared before looking: what is told from here on is found now or wakes the relay again.
            self._committing.events_told.clear()
            waiting = await self._reading.ask(Question(outbox.read_waiting, (self._position, BATCH_MAX)))
            if waiting is None:
                return
            events = waiting.lines.encode().split(b"\n")
            await self._send(events)
            self._position = waiting.last_id
            await self._remember(waiting.last_id)
            await asyncio.sleep(_pause_s(len(events)))

    async def _remember(self, position: int) -> None:
        try:
            await self._committing.submit(MoveRelay(PLATFORM, position))
        except (Overloaded, Unavailable) as error:
            # The next bundle's position covers this one's; what was sent isn't sent again meanwhile.
            log.warning("position not remembered yet", position=position, reason=repr(error))

    async def _send(self, events: Sequence[bytes]) -> None:
        self._writing = asyncio.ensure_future(asyncio.to_thread(self._sink.send, events))
        await asyncio.shield(self._writing)


def _pause_s(events: int) -> float:
    """How long the next bundle gathers; where this one was full, what waits goes at once."""
    if events == BATCH_MAX:
        return 0
    return RUSH_PACE_S if events > RUSH else PACE_S
