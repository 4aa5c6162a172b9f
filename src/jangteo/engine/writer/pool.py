"""Several writers behind one queue: a command goes to whoever has the least to do."""

import asyncio
from collections.abc import Callable, Sequence

from jangteo.engine.batch import Submission
from jangteo.engine.commands import Writer
from jangteo.engine.outcomes import SerializedOutcome


class Writers:
    """Where a database takes several transactions at once, one is decided while another is being committed."""

    def __init__(self, writers: Sequence[Writer]) -> None:
        self._writers = writers

    @property
    def unanswered(self) -> int:
        """Commands taken in and not answered yet."""
        return sum(writer.unanswered for writer in self._writers)

    @property
    def is_up(self) -> bool:
        """Whether any of them is."""
        return any(writer.is_up for writer in self._writers)

    async def start(self, has_events: Callable[[], None]) -> None:
        """Start all of them."""
        for writer in self._writers:
            await writer.start(has_events)

    async def stop(self) -> None:
        """Have everything that was taken in committed and answered, then see all of them end."""
        await asyncio.gather(*(writer.stop() for writer in self._writers))

    def submit(self, asked: Submission) -> asyncio.Future[SerializedOutcome]:
        """The outcome, once it is durable. Raises Overloaded where even the least busy one is, or Stopped."""
        return min(self._writers, key=_load).submit(asked)


def _load(writer: Writer) -> tuple[bool, int]:
    # One that has died has nothing to do, and would draw all commands to it.
    return not writer.is_up, writer.unanswered
