"""Worker pools: jobs that arrived together are handled together and in order, and every job is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from threading import Event, active_count

import pytest

from jangteo.engine.worker_pool import Overloaded, Stopped, WorkerPool


class Doubling:
    """Doubles numbers, once `resume` is set."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.has_begun = Event()
        self.resume = Event()
        self.resume.set()
        self.closed = False

    def work(self, jobs: Sequence[int]) -> Sequence[int]:
        self.batches.append(list(jobs))
        self.has_begun.set()
        assert self.resume.wait(30)
        return [2 * job for job in jobs]

    def close(self) -> None:
        self.closed = True


def pool(worker: Doubling, *, batch_max: int = 100, queue_max: int = 100) -> WorkerPool[int, int]:
    return WorkerPool("test", lambda: worker, batch_max=batch_max, queue_max=queue_max)


async def block(worker: Doubling, running: WorkerPool[int, int]) -> asyncio.Future[int]:
    """Start the pool with a job that keeps the worker busy until `resume` is set."""
    worker.resume.clear()
    running.start()
    first = running.submit(0)
    assert await asyncio.to_thread(worker.has_begun.wait, 30)
    return first


def test_jobs_that_arrive_during_a_batch_are_the_next_batch_in_order() -> None:
    async def scenario() -> None:
        worker = Doubling()
        running = pool(worker)
        first = await block(worker, running)
        others = [running.submit(job) for job in range(1, 6)]
        worker.resume.set()
        assert await asyncio.gather(first, *others) == [0, 2, 4, 6, 8, 10]
        assert worker.batches == [[0], [1, 2, 3, 4, 5]]
        await running.stop()
        assert worker.closed

    asyncio.run(scenario())


def test_batches_and_the_queue_are_bounded() -> None:
    async def scenario() -> None:
        worker = Doubling()
        running = pool(worker, batch_max=2, queue_max=6)
        first = await block(worker, running)
        others = [running.submit(job) for job in range(1, 6)]
        with pytest.raises(Overloaded):
            running.submit(6)
        worker.resume.set()
        await asyncio.gather(first, *others)
        assert worker.batches == [[0], [1, 2], [3, 4], [5]]
        assert await running.submit(7) == 14
        await running.stop()

    asyncio.run(scenario())


def test_stop_finishes_accepted_jobs_and_refuses_new_ones() -> None:
    async def scenario() -> None:
        worker = Doubling()
        running = pool(worker)
        first = await block(worker, running)
        others = [running.submit(job) for job in range(1, 4)]
        threads = active_count()
        stopping = asyncio.create_task(running.stop())
        await asyncio.sleep(0)
        with pytest.raises(Stopped):
            running.submit(9)
        worker.resume.set()
        await stopping
        assert [each.result() for each in (first, *others)] == [0, 2, 4, 6]
        assert worker.closed
        assert active_count() <= threads
        await running.stop()

    asyncio.run(scenario())


def test_a_cancelled_job_does_not_affect_the_others_of_its_batch() -> None:
    async def scenario() -> None:
        worker = Doubling()
        running = pool(worker)
        first = await block(worker, running)
        cancelled, other = running.submit(1), running.submit(2)
        cancelled.cancel()
        worker.resume.set()
        assert [await first, await other] == [0, 4]
        await running.stop()

    asyncio.run(scenario())


class Defective(Doubling):
    """Fails every batch with an odd job."""

    def work(self, jobs: Sequence[int]) -> Sequence[int]:
        results = super().work(jobs)
        if any(job % 2 for job in jobs):
            raise RuntimeError("a defect")
        return results


def test_a_batch_that_raises_fails_its_jobs_and_the_pool_continues() -> None:
    async def scenario() -> None:
        worker = Defective()
        running = pool(worker, queue_max=2)
        running.start()
        for _ in range(3):
            with pytest.raises(RuntimeError, match="a defect"):
                await running.submit(1)
            assert await running.submit(2) == 4
        await running.stop()

    asyncio.run(scenario())
