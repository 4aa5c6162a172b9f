"""Threads that do together what arrived together.

Nothing waits on a timer: a pool takes whatever arrived while it was at work, up to its bound, and answers all of it
at once. A lone job is taken at once.
"""

import asyncio
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Generic, NamedTuple, Protocol, TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")
Taken = TypeVar("Taken", contravariant=True)
Given = TypeVar("Given", covariant=True)


class Overloaded(Exception):
    """More is waiting than the queue may lock. Nothing was done; ask again a little later."""


class Stopped(Exception):
    """The shop is closing and takes no more."""


class Worker(Protocol[Taken, Given]):
    """What a pool's thread does; made and used and closed within that thread."""

    def work(self, jobs: Sequence[Taken]) -> Sequence[Given | Exception]:
        """A result for each job, in the same order; an exception is raised to who waits for that job.

        What it raises itself is raised to everyone who waits for this batch.
        """

    def close(self) -> None:
        """Let go of what the worker holds."""


class _Waiting(NamedTuple, Generic[Job, Result]):
    job: Job
    future: asyncio.Future[Result]


class WorkerPool(Generic[Job, Result]):
    """A bounded queue in front of one or more threads, each with a worker of its own."""

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
        self._queue: SimpleQueue[_Waiting[Job, Result] | None] = SimpleQueue()
        self.unanswered = 0
        """Jobs taken in and not answered yet."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._names = [f"{name}-{number}" for number in range(threads)]
        self._threads: list[Thread] = []

    def start(self) -> None:
        """Start the threads; their answers come to the running event loop."""
        loop = self._loop = asyncio.get_running_loop()
        self._threads = [Thread(target=self._run, args=(loop,), name=name, daemon=True) for name in self._names]
        for thread in self._threads:
            thread.start()

    async def stop(self) -> None:
        """Finish everything that was taken in, take in no more, and end the threads."""
        loop, self._loop = self._loop, None
        if loop is None:
            return
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            await loop.run_in_executor(None, thread.join)
        # What the threads handed over last is answered before anyone goes on.
        await asyncio.sleep(0)

    def submit(self, job: Job) -> asyncio.Future[Result]:
        """The result, once it is there. Raises Overloaded where the queue is full, Stopped after `stop`."""
        if self._loop is None:
            raise Stopped
        if self.unanswered >= self._queue_max:
            raise Overloaded
        self.unanswered += 1
        future: asyncio.Future[Result] = self._loop.create_future()
        self._queue.put(_Waiting(job, future))
        return future

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        worker = self._open_worker()
        going = True
        while going:
            waiting, going = self._take()
            if waiting:
                try:
                    results = worker.work([each.job for each in waiting])
                except Exception as defect:  # noqa: BLE001 - whatever it is, those who wait are told and the pool goes on
                    loop.call_soon_threadsafe(self._fail, waiting, defect)
                else:
                    loop.call_soon_threadsafe(self._answer, waiting, results)
        worker.close()

    def _take(self) -> tuple[list[_Waiting[Job, Result]], bool]:
        """Everything that has arrived, up to the bound; and whether to go on afterwards."""
        waiting: list[_Waiting[Job, Result]] = []
        arrived = self._queue.get()
        while arrived is not None:
            waiting.append(arrived)
            if len(waiting) == self._batch_max:
                return waiting, True
            try:
                arrived = self._queue.get_nowait()
            except Empty:
                return waiting, True
        return waiting, False

    def _answer(self, waiting: list[_Waiting[Job, Result]], results: Sequence[Result | Exception]) -> None:
        self.unanswered -= len(waiting)
        for each, result in zip(waiting, results, strict=True):
            if each.future.done():
                continue
            if isinstance(result, Exception):
                each.future.set_exception(result)
            else:
                each.future.set_result(result)

    def _fail(self, waiting: list[_Waiting[Job, Result]], defect: Exception) -> None:
        self.unanswered -= len(waiting)
        for each in waiting:
            if not each.future.done():
                each.future.set_exception(defect)
