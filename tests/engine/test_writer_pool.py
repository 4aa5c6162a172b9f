"""A pool of writers: each command goes to the least busy writer, and all writers are started and stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

from jangteo.core.wallets import ChargeBalance
from jangteo.engine.batch import Submission
from jangteo.engine.deadlines import SHUTDOWN_TIMEOUT_S
from jangteo.engine.outcomes import SerializedOutcome
from jangteo.engine.worker_pool import Overloaded
from jangteo.engine.writer.pool import WriterPool

SUBMISSION = Submission(ChargeBalance(1, 1))


class SilentWriter:
    """A writer that answers nothing, with a queue of two commands."""

    def __init__(self) -> None:
        self.waiting: list[asyncio.Future[SerializedOutcome]] = []
        self.is_started = self.is_up = False
        self.on_events: Callable[[], None] | None = None
        self.ends_in_time = True

    @property
    def unanswered(self) -> int:
        return len(self.waiting)

    async def start(self, on_events: Callable[[], None]) -> None:
        self.is_started = self.is_up = True
        self.on_events = on_events

    async def stop(self, timeout_s: float = SHUTDOWN_TIMEOUT_S) -> bool:
        assert timeout_s == SHUTDOWN_TIMEOUT_S
        self.is_started = False
        return self.ends_in_time

    def submit(self, submission: Submission) -> asyncio.Future[SerializedOutcome]:
        assert submission is SUBMISSION
        if self.unanswered == 2:
            raise Overloaded
        self.waiting.append(asyncio.get_running_loop().create_future())
        return self.waiting[-1]

    def submit_all(self, submissions: Sequence[Submission]) -> list[asyncio.Future[SerializedOutcome]]:
        return [self.submit(each) for each in submissions[: 2 - self.unanswered]]


def test_commands_go_to_the_least_busy_writer_and_all_are_started_and_stopped() -> None:
    first, second = SilentWriter(), SilentWriter()
    notified: list[bool] = []

    async def scenario() -> None:
        writers = WriterPool([first, second])
        await writers.start(lambda: notified.append(True))
        assert first.is_started
        assert second.is_started
        for writer in (first, second):
            assert writer.on_events is not None
            writer.on_events()
        writers.submit(SUBMISSION)
        writers.submit(SUBMISSION)
        assert (first.unanswered, second.unanswered, writers.unanswered) == (1, 1, 2)
        first.waiting.clear()
        first.is_up = False
        writers.submit(SUBMISSION)
        assert (first.unanswered, second.unanswered) == (0, 2), "a dead writer is not the least busy"
        second.waiting.pop()
        first.is_up = True
        writers.submit(SUBMISSION)
        assert (first.unanswered, second.unanswered) == (1, 1)
        writers.submit(SUBMISSION)
        writers.submit(SUBMISSION)
        with pytest.raises(Overloaded):
            writers.submit(SUBMISSION)
        assert await writers.stop()
        assert not first.is_started
        assert not second.is_started

        second.ends_in_time = False
        assert not await writers.stop(), "one of them did not end in time"

    asyncio.run(scenario())
    assert notified == [True, True]


def test_commands_that_are_submitted_together_go_to_one_writer() -> None:
    first, second = SilentWriter(), SilentWriter()

    async def scenario() -> None:
        writers = WriterPool([first, second])
        await writers.start(lambda: None)
        writers.submit(SUBMISSION)
        accepted = writers.submit_all([SUBMISSION] * 3)
        assert accepted == second.waiting
        assert (first.unanswered, second.unanswered) == (1, 2), "the third one has no room, and goes nowhere else"

    asyncio.run(scenario())
