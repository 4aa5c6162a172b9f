"""A writer in a thread of this process: for tests that lock the clock, and for commands without a server."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime

from jangteo.engine.batch import Submission, commit
from jangteo.engine.outcomes import SerializedOutcome
from jangteo.engine.worker_pool import WorkerPool
from jangteo.engine.writer.loop import to_outcomes
from jangteo.storage.errors import Unavailable
from jangteo.storage.port import Storage


class WriterThread:
    """A writer in a thread of this process."""

    def __init__(self, storage: Storage, clock: Callable[[], datetime], *, batch_max: int, queue_max: int) -> None:
        self._lane: WorkerPool[Submission, SerializedOutcome] = WorkerPool(
            "commit",
            lambda: _Batches(storage, clock, self._tell),
            batch_max=batch_max,
            queue_max=queue_max,
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._on_events: Callable[[], None] = lambda: None

    @property
    def unanswered(self) -> int:
        """Commands taken in and not answered yet."""
        return self._lane.unanswered

    @property
    def is_up(self) -> bool:
        """A thread always is."""
        return True

    async def start(self, has_events: Callable[[], None]) -> None:
        """Begin."""
        self._on_events = has_events
        self._loop = asyncio.get_running_loop()
        self._lane.start()

    async def stop(self) -> None:
        """Commit and answer what was taken in, then end."""
        await self._lane.stop()

    def submit(self, asked: Submission) -> asyncio.Future[SerializedOutcome]:
        """The outcome, once it is durable."""
        return self._lane.submit(asked)

    def _tell(self) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._on_events)


class _Batches:
    def __init__(self, storage: Storage, clock: Callable[[], datetime], tell: Callable[[], None]) -> None:
        self._connection = storage.connect()
        self._clock = clock
        self._tell = tell

    def work(self, jobs: Sequence[Submission]) -> Sequence[SerializedOutcome | Exception]:
        batch = to_outcomes(commit(self._connection, jobs, self._clock))
        if batch.has_events:
            self._tell()
        return [Unavailable(batch.failure) if outcome is None else outcome for outcome in batch.outcomes]

    def close(self) -> None:
        self._connection.close()
