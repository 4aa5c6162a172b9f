"""Several writers used as one: each command goes to the writer with the fewest unanswered commands."""

import asyncio
from collections.abc import Callable, Sequence

from jangteo.engine.batch import Submission
from jangteo.engine.commands import Writer
from jangteo.engine.deadlines import SHUTDOWN_TIMEOUT_S
from jangteo.engine.outcomes import SerializedOutcome


class WriterPool:
    """Writers that commit in parallel: on PostgreSQL one batch is decided while another is being committed."""

    def __init__(self, writers: Sequence[Writer]) -> None:
        self._writers = writers

    @property
    def unanswered(self) -> int:
        """The number of commands accepted and not answered yet, by all writers."""
        return sum(writer.unanswered for writer in self._writers)

    @property
    def is_up(self) -> bool:
        """Whether any writer is running."""
        return any(writer.is_up for writer in self._writers)

    async def start(self, on_events: Callable[[], None]) -> None:
        """Start all writers."""
        for writer in self._writers:
            await writer.start(on_events)

    async def stop(self, timeout_s: float = SHUTDOWN_TIMEOUT_S) -> bool:
        """Commit and answer everything accepted, then end all writers; whether all of them ended in time."""
        return all(await asyncio.gather(*(writer.stop(timeout_s) for writer in self._writers)))

    def submit(self, submission: Submission) -> asyncio.Future[SerializedOutcome]:
        """Submit to the least busy writer. Raises Overloaded if its queue is full too, Stopped after `stop`."""
        return min(self._writers, key=_load).submit(submission)

    def submit_all(self, submissions: Sequence[Submission]) -> list[asyncio.Future[SerializedOutcome]]:
        """Submit all to the least busy writer: two writers would keep no order between them."""
        return min(self._writers, key=_load).submit_all(submissions)


def pooled(writers: Sequence[Writer]) -> Writer:
    """Return one writer that stands for all of them."""
    return writers[0] if len(writers) == 1 else WriterPool(writers)


def _load(writer: Writer) -> tuple[bool, int]:
    # A writer that has died has no unanswered commands: without the first item it would get all new ones.
    return not writer.is_up, writer.unanswered
