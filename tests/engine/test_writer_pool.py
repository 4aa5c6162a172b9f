"""Several writers: a command goes to whoever has the least to do, and all of them are closed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from jangteo.core.wallets import ChargeBalance
from jangteo.engine.batch import Submission
from jangteo.engine.outcomes import SerializedOutcome
from jangteo.engine.worker_pool import Overloaded
from jangteo.engine.writer.pool import Writers

COMMAND = Submission(ChargeBalance(1, 1))


class Counting:
    """A writer that answers when it is told to."""

    def __init__(self) -> None:
        self.waiting: list[asyncio.Future[SerializedOutcome]] = []
        self.is_open = self.is_up = False
        self.has_events: Callable[[], None] | None = None

    @property
    def unanswered(self) -> int:
        return len(self.waiting)

    async def start(self, has_events: Callable[[], None]) -> None:
        self.is_open = self.is_up = True
        self.has_events = has_events

    async def stop(self) -> None:
        self.is_open = False

    def submit(self, asked: Submission) -> asyncio.Future[SerializedOutcome]:
        assert asked is COMMAND
        if self.unanswered == 2:
            raise Overloaded
        self.waiting.append(asyncio.get_running_loop().create_future())
        return self.waiting[-1]


def test_commands_go_to_the_least_busy_and_all_are_opened_and_closed() -> None:
    first, second = Counting(), Counting()
    told: list[bool] = []

    async def play() -> None:
        writers = Writers([first, second])
        await writers.start(lambda: told.append(True))
        assert first.is_open
        assert second.is_open
        for writer in (first, second):
            assert writer.has_events is not None
            writer.has_events()
        writers.submit(COMMAND)
        writers.submit(COMMAND)
        assert (first.unanswered, second.unanswered, writers.unanswered) == (1, 1, 2)
        first.waiting.clear()
        first.is_up = False
        writers.submit(COMMAND)
        assert (first.unanswered, second.unanswered) == (0, 2), "who isn't there is not the least busy"
        second.waiting.pop()
        first.is_up = True
        writers.submit(COMMAND)
        assert (first.unanswered, second.unanswered) == (1, 1)
        writers.submit(COMMAND)
        writers.submit(COMMAND)
        with pytest.raises(Overloaded):
            writers.submit(COMMAND)
        await writers.stop()
        assert not first.is_open
        assert not second.is_open

    asyncio.run(play())
    assert told == [True, True]
