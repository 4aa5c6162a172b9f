"""Threads with a bounded queue that handle together the jobs that arrived together.

No timer delays a job: an idle thread takes a lone job at once, and a busy one takes everything that arrived meanwhile,
up to `batch_max`, as its next batch.
"""

import asyncio
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Generic, NamedTuple, Protocol, TypeVar

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

        An exception that `work` itself raises is raised to the submitters of all these jobs.
        """

    def close(self) -> None:
        """Release the worker's resources."""


class _Entry(NamedTuple, Generic[Job, Result]):
    job: Job
    future: asyncio.Future[Result]


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
    ) -> None:
        self._open_worker = open_worker
        self._batch_max = batch_max
        self._queue_max = queue_max
        # Each thread ends at the first None it takes.
        self._queue: SimpleQueue[_Entry[Job, Result] | None] = SimpleQueue()
        self.unanswered = 0
        """The number of jobs accepted and not answered yet."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._names = [f"{name}-{number}" for number in range(threads)]
        self._threads: list[Thread] = []

    def start(self) -> None:
        """Start the threads; results are delivered on the running event loop."""
        loop = self._loop = asyncio.get_running_loop()
        self._threads = [Thread(target=self._run, args=(loop,), name=name, daemon=True) for name in self._names]
        for thread in self._threads:
            thread.start()

    async def stop(self) -> None:
        """Accept no more jobs, finish those accepted, and end the threads."""
        loop, self._loop = self._loop, None
        if loop is None:
            return
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            await loop.run_in_executor(None, thread.join)
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
        self._queue.put(_Entry(job, future))
        return future

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        worker = self._open_worker()
        running = True
        while running:
            entries, running = self._next_batch()
            if entries:
                try:
                    results = worker.work([entry.job for entry in entries])
                except Exception as error:  # noqa: BLE001 - whatever it is, it goes to the submitters; the pool continues
                    loop.call_soon_threadsafe(self._fail, entries, error)
                else:
                    loop.call_soon_threadsafe(self._answer, entries, results)
        worker.close()

    def _next_batch(self) -> tuple[list[_Entry[Job, Result]], bool]:
        """Wait for a job and take all that wait, at most `batch_max`; False: the thread ends after them."""
        entries: list[_Entry[Job, Result]] = []
        entry = self._queue.get()
        while entry is not None:
            entries.append(entry)
            if len(entries) == self._batch_max:
                return entries, True
            try:
                entry = self._queue.get_nowait()
            except Empty:
                return entries, True
        return entries, False

    def _answer(self, entries: list[_Entry[Job, Result]], results: Sequence[Result | Exception]) -> None:
        self.unanswered -= len(entries)
        for entry, result in zip(entries, results, strict=True):
            # A submitter that left has cancelled its future.
            if entry.future.done():
                continue
            if isinstance(result, Exception):
                entry.future.set_exception(result)
            else:
                entry.future.set_result(result)

    def _fail(self, entries: list[_Entry[Job, Result]], error: Exception) -> None:
        self.unanswered -= len(entries)
        for entry in entries:
            if not entry.future.done():
                entry.future.set_exception(error)
