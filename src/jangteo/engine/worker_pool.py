"""Threads with a bounded queue that handle together the jobs that arrived together.

No timer delays a job: an idle thread takes a lone job at once, and a busy one takes everything that arrived meanwhile,
up to `batch_max`, as its next batch. A job that is not answered in time fails, whatever its thread waits for.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic, sleep
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from jangteo.engine.deadlines import DEFAULT_TIMEOUTS, HOLD_PAUSE_S, SHUTDOWN_TIMEOUT_S, Deadlines, Timeouts, Waiting
from jangteo.storage.errors import Unreachable

Job = TypeVar("Job")
Result = TypeVar("Result")
JobIn = TypeVar("JobIn", contravariant=True)
ResultOut = TypeVar("ResultOut", covariant=True)


class Overloaded(Exception):
    """The queue is full. Nothing was done; retry a little later."""


class Stopped(Exception):
    """The shop is shutting down and accepts no more jobs."""


class Worker(Protocol[JobIn, ResultOut]):
    """What a thread of the pool runs. It is opened, used and closed within that thread."""

    def work(self, jobs: Sequence[JobIn]) -> Sequence[ResultOut | Exception]:
        """Return a result for each job, in the same order; an exception is raised to the job's submitter.

        An exception that `work` itself raises is raised to the submitters of all these jobs; Unreachable only once
        they have waited for the hold: until then they are tried again.
        """

    def close(self) -> None:
        """Release the worker's resources."""


class _Entry(NamedTuple, Generic[Job, Result]):
    job: Job
    future: asyncio.Future[Result]
    since: float


class WorkerPool(Generic[Job, Result]):
    """A bounded queue in front of one or more threads, each with its own worker."""

    def __init__(
        self,
        name: str,
        open_worker: Callable[[], Worker[Job, Result]],
        *,
        threads: int = 1,
        batch_max: int,
        queue_max: int,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
    ) -> None:
        self._open_worker = open_worker
        self._batch_max = batch_max
        self._queue_max = queue_max
        self._timeouts = timeouts
        # Each thread ends at the first None it takes.
        self._queue: SimpleQueue[_Entry[Job, Result] | None] = SimpleQueue()
        self.unanswered = 0
        """The number of jobs accepted and not answered yet."""
        self._waiting: deque[Waiting] = deque()
        """In order of arrival; answered ones are left in it until those before them are answered."""
        self._deadlines = Deadlines(self._waiting, timeouts.database_s)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._names = [f"{name}-{number}" for number in range(threads)]
        self._threads: list[Thread] = []

    def start(self) -> None:
        """Start the threads; results are delivered on the running event loop."""
        loop = self._loop = asyncio.get_running_loop()
        self._deadlines.start(loop)
        self._threads = [Thread(target=self._run, args=(loop,), name=name, daemon=True) for name in self._names]
        for thread in self._threads:
            thread.start()

    async def stop(self, timeout_s: float = SHUTDOWN_TIMEOUT_S) -> None:
        """Accept no more jobs, finish those accepted, and end the threads; one that stands still is left behind."""
        loop, self._loop = self._loop, None
        if loop is None:
            return
        for _ in self._threads:
            self._queue.put(None)
        give_up_at = monotonic() + timeout_s
        for thread in self._threads:
            await loop.run_in_executor(None, thread.join, max(give_up_at - monotonic(), 0))
        self._deadlines.stop()
        # Runs the callbacks that the threads scheduled last, so that every future is set when this returns.
        await asyncio.sleep(0)

    def submit(self, job: Job) -> asyncio.Future[Result]:
        """Return the job's future result. Raises Overloaded if the queue is full, Stopped after `stop`."""
        if self._loop is None:
            raise Stopped
        if self.unanswered >= self._queue_max:
            raise Overloaded
        self.unanswered += 1
        future: asyncio.Future[Result] = self._loop.create_future()
        now = monotonic()
        self._waiting.append(Waiting(future, now))
        self._queue.put(_Entry(job, future, now))
        return future

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        worker = self._open_worker()
        held: list[_Entry[Job, Result]] = []
        running = True
        while running or held:
            if running:
                arrived, running = self._next_batch(len(held))
                held += arrived
            held = self._work(loop, worker, held)
        worker.close()

    def _work(
        self, loop: asyncio.AbstractEventLoop, worker: Worker[Job, Result], entries: list[_Entry[Job, Result]]
    ) -> list[_Entry[Job, Result]]:
        """Handle a batch; return the jobs that are to be tried again, after a pause."""
        if not entries:
            return []
        try:
            results = worker.work([entry.job for entry in entries])
        except Unreachable as error:
            before = monotonic() - self._timeouts.hold_s
            late = [entry for entry in entries if entry.since <= before]
            self._deliver(loop, self._fail, late, error)
            sleep(HOLD_PAUSE_S)
            return [entry for entry in entries if entry.since > before]
        except Exception as error:  # noqa: BLE001 - whatever it is, it goes to the submitters; the pool continues
            self._deliver(loop, self._fail, entries, error)
        else:
            self._deliver(loop, self._answer, entries, results)
        return []

    @staticmethod
    def _deliver(loop: asyncio.AbstractEventLoop, answer: Callable[..., None], *arguments: Any) -> None:
        # The loop is closed where a thread stood still until after `stop`: nobody waits for its results any more.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(answer, *arguments)

    def _next_batch(self, held: int) -> tuple[list[_Entry[Job, Result]], bool]:
        """Wait for a job unless some are held, and take all that wait, up to `batch_max` with those.

        False: the thread ends after them.
        """
        entries: list[_Entry[Job, Result]] = []
        try:
            entry = self._queue.get(block=not held)
            while entry is not None:
                entries.append(entry)
                if len(entries) + held >= self._batch_max:
                    return entries, True
                entry = self._queue.get_nowait()
        except Empty:
            return entries, True
        return entries, False

    def _answer(self, entries: list[_Entry[Job, Result]], results: Sequence[Result | Exception]) -> None:
        self.unanswered -= len(entries)
        for entry, result in zip(entries, results, strict=True):
            # A submitter that left has cancelled its future, and one that waited too long has got an error.
            if entry.future.done():
                continue
            if isinstance(result, Exception):
                entry.future.set_exception(result)
            else:
                entry.future.set_result(result)
        while self._waiting and self._waiting[0].future.done():
            self._waiting.popleft()

    def _fail(self, entries: list[_Entry[Job, Result]], error: Exception) -> None:
        self._answer(entries, [error] * len(entries))
