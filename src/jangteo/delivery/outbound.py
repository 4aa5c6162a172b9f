"""What everything that sends has in common: the way to the platform, as long as it is this relay's turn."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, TypeVar

from jangteo.core.book import Command
from jangteo.core.deliveries import NoteRejected, Rejected
from jangteo.delivery.dispatch import Unsent, dispatch
from jangteo.delivery.sinks import Sink
from jangteo.delivery.trials import Trials
from jangteo.delivery.turns import RENEWED_EVERY_S, Turn
from jangteo.engine.committing import Committing
from jangteo.engine.reading import Reading
from jangteo.storage.port import Question

Answer = TypeVar("Answer")
_NOTED_AT_ONCE: Final = 100


class TurnLost(Exception):
    """It is another relay's turn."""


class Outbound:
    """One platform, and the shop whose events it is told."""

    def __init__(self, committing: Committing, reading: Reading, sink: Sink, turn: Turn, platform: str) -> None:
        """`platform`: its name, as operators are told it."""
        self._committing = committing
        self._reading = reading
        self._sink = sink
        self._turn = turn
        self.platform = platform
        self.trials = Trials()
        self.sent_events = 0
        """So many were sent since this program began."""

    @property
    def events_told(self) -> asyncio.Event:
        """Set whenever a batch with events has been committed here."""
        return self._committing.events_told

    async def is_mine(self) -> bool:
        """Whether it is this relay's turn."""
        return await self._turn.is_mine()

    async def close(self) -> None:
        """Leave the turn to others, and let go of the platform."""
        await self._turn.give_back()
        await self._sink.close()

    async def ask(self, read: Callable[..., Answer], *arguments: Any) -> Answer:
        """Read something. Raises Overloaded, Stopped and Unavailable."""
        return await self._reading.ask(Question(read, arguments, takes_long=True))

    async def note(self, command: Command) -> None:
        """Have something remembered. Raises Overloaded, Stopped and Unavailable."""
        await self._committing.submit(command)

    async def note_rejected(self, events: Sequence[Rejected]) -> None:
        """Have rejections remembered, a few at a time."""
        for start in range(0, len(events), _NOTED_AT_ONCE):
            await self.note(NoteRejected(tuple(events[start : start + _NOTED_AT_ONCE])))

    async def send_in_order(self, events: Sequence[bytes]) -> list[Unsent]:
        """Send these, but for those of an order that has an earlier event in trial. Raises what `send` raises."""
        held = self.trials.held_up(events)
        waiting = {each.place for each in held}
        free = [place for place in range(len(events)) if place not in waiting]
        unsent = await self.send([events[place] for place in free])
        return [*held, *(each._replace(place=free[each.place]) for each in unsent)]

    async def send(self, events: Sequence[bytes]) -> list[Unsent]:
        """Send these, and keep the turn as long as that takes: those that were not sent.

        Raises Later, Gone and TurnLost.
        """
        if not await self.is_mine():
            # Reading them may have taken longer than the turn lasts.
            raise TurnLost
        sending = asyncio.create_task(dispatch(self._sink, events))
        try:
            while not sending.done():
                await asyncio.wait({sending}, timeout=RENEWED_EVERY_S)
                if not sending.done() and not await self.is_mine():
                    raise TurnLost
        finally:
            if not sending.done():
                sending.cancel()
                with suppress(Exception, asyncio.CancelledError):
                    await sending
        unsent = sending.result()
        self.sent_events += len(events) - len(unsent)
        return unsent
