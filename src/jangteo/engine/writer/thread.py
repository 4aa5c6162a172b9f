"""A writer in a thread of this process: for tests that control the clock, and for commands without a server."""

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
        self._pool: WorkerPool[Submission, SerializedOutcome] = WorkerPool(
            "commit",
            lambda: _Committer(storage, clock, self._notify),
            batch_max=batch_max,
            queue_max=queue_max,
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._on_events: Callable[[], None] = lambda: None

    @property
    def unanswered(self) -> int:
        """The number of commands accepted and not answered yet."""
        return self._pool.unanswered

    @property
    def is_up(self) -> bool:
        """Always true: a thread doesn't die alone."""
        return True

    async def start(self, on_events: Callable[[], None]) -> None:
        """Start the thread; `on_events` is called on the event loop after each batch that wrote events."""
        self._on_events = on_events
        self._loop = asyncio.get_running_loop()
        self._pool.start()

    async def stop(self) -> None:
        """Commit and answer everything accepted, then end the thread."""
        await self._pool.stop()

    def submit(self, submission: Submission) -> asyncio.Future[SerializedOutcome]:
        """Return the future outcome. Raises Overloaded if the queue is full, Stopped after `stop`."""
        return self._pool.submit(submission)

    def _notify(self) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._on_events)


class _Committer:
    def __init__(self, storage: Storage, clock: Callable[[], datetime], notify: Callable[[], None]) -> None:
        self._connection = storage.connect()
        self._clock = clock
        self._notify = notify

    def work(self, jobs: Sequence[Submission]) -> Sequence[SerializedOutcome | Exception]:
        batch = to_outcomes(commit(self._connection, jobs, self._clock))
        if batch.has_events:
            self._notify()
        return [Unavailable(batch.failure) if outcome is None else outcome for outcome in batch.outcomes]

    def close(self) -> None:
        self._connection.close()
