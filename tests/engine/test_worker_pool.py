"""Lanes: what arrives together is done together, in order, and nothing is left unanswered."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from threading import Event, active_count

import pytest

from jangteo.engine.worker_pool import Overloaded, Stopped, WorkerPool


class Doubling:
    """Doubles numbers; while it is held up, what arrives has to wait."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.at_work = Event()
        self.go_on = Event()
        self.go_on.set()
        self.closed = False

    def work(self, jobs: Sequence[int]) -> Sequence[int]:
        self.batches.append(list(jobs))
        self.at_work.set()
        assert self.go_on.wait(30)
        return [2 * job for job in jobs]

    def close(self) -> None:
        self.closed = True


def pool(worker: Doubling, *, batch_max: int = 100, queue_max: int = 100) -> WorkerPool[int, int]:
    return WorkerPool("test", lambda: worker, batch_max=batch_max, queue_max=queue_max)


async def blocked(worker: Doubling, running: WorkerPool[int, int]) -> asyncio.Future[int]:
    """Send one job ahead that keeps the worker busy."""
    worker.go_on.clear()
    running.start()
    first = running.submit(0)
    assert await asyncio.to_thread(worker.at_work.wait, 30)
    return first


def test_what_arrives_meanwhile_is_one_batch_in_order() -> None:
    async def play() -> None:
        worker = Doubling()
        running = pool(worker)
        first = await blocked(worker, running)
        others = [running.submit(job) for job in range(1, 6)]
        worker.go_on.set()
        assert await asyncio.gather(first, *others) == [0, 2, 4, 6, 8, 10]
        assert worker.batches == [[0], [1, 2, 3, 4, 5]]
        await running.stop()
        assert worker.closed

    asyncio.run(play())


def test_batches_and_the_queue_are_bounded() -> None:
    async def play() -> None:
        worker = Doubling()
        running = pool(worker, batch_max=2, queue_max=6)
        first = await blocked(worker, running)
        others = [running.submit(job) for job in range(1, 6)]
        with pytest.raises(Overloaded):
            running.submit(6)
        worker.go_on.set()
        await asyncio.gather(first, *others)
        assert worker.batches == [[0], [1, 2], [3, 4], [5]]
        assert await running.submit(7) == 14
        await running.stop()

    asyncio.run(play())


def test_stopping_finishes_what_was_taken_in_and_takes_in_no_more() -> None:
    async def play() -> None:
        worker = Doubling()
        running = pool(worker)
        first = await blocked(worker, running)
        others = [running.submit(job) for job in range(1, 4)]
        threads = active_count()
        stopping = asyncio.create_task(running.stop())
        await asyncio.sleep(0)
        with pytest.raises(Stopped):
            running.submit(9)
        worker.go_on.set()
        await stopping
        assert [each.result() for each in (first, *others)] == [0, 2, 4, 6]
        assert worker.closed
        assert active_count() <= threads
        await running.stop()

    asyncio.run(play())


def test_someone_who_has_left_does_not_hold_up_the_others() -> None:
    async def play() -> None:
        worker = Doubling()
        running = pool(worker)
        first = await blocked(worker, running)
        left, stayed = running.submit(1), running.submit(2)
        left.cancel()
        worker.go_on.set()
        assert [await first, await stayed] == [0, 4]
        await running.stop()

    asyncio.run(play())


class Defective(Doubling):
    """Fails at every odd job."""

    def work(self, jobs: Sequence[int]) -> Sequence[int]:
        results = super().work(jobs)
        if any(job % 2 for job in jobs):
            raise RuntimeError("a defect")
        return results


def test_a_defect_is_told_to_those_who_wait_and_the_lane_goes_on() -> None:
    async def play() -> None:
        worker = Defective()
        running = pool(worker, queue_max=2)
        running.start()
        for _ in range(3):
            with pytest.raises(RuntimeError, match="a defect"):
                await running.submit(1)
            assert await running.submit(2) == 4
        await running.stop()

    asyncio.run(play())
