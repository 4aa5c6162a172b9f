"""Queries that arrive together are answered from one snapshot, equal ones once, never older than the query."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Event
from typing import Any

import pytest

from jangteo.core.wallets import CurrentBalance, RegisterUser
from jangteo.engine.commands import Commands
from jangteo.engine.reads import Reads
from jangteo.engine.writer.thread import WriterThread
from jangteo.storage import wallets
from jangteo.storage.errors import Unavailable
from jangteo.storage.port import Query, Snapshot
from jangteo.storage.urls import open_storage


def now() -> datetime:
    return datetime(2026, 11, 23, tzinfo=UTC)


def reads(database: str, threads: int = 1) -> Reads:
    return Reads(open_storage(database), now, threads=threads, batch_max=100, queue_max=100)


class Slow:
    """A query that takes until it is told to go on, and counts how often it is answered."""

    def __init__(self) -> None:
        self.asked = Event()
        self.go_on = Event()
        self.times = 0

    def __call__(self, snapshot: Snapshot, *_: Any) -> int:
        self.times += 1
        self.asked.set()
        assert self.go_on.wait(30)
        return self.times


def test_equal_questions_that_wait_are_answered_once(database: str) -> None:
    async def play() -> None:
        queries = reads(database)
        queries.start()
        slow = Slow()
        first = asyncio.create_task(queries.run(Query(slow)))
        await asyncio.to_thread(slow.asked.wait, 30)
        later = [asyncio.create_task(queries.run(Query(slow))) for _ in range(5)]
        await asyncio.sleep(0)
        slow.go_on.set()
        assert await first == 1
        # Submission while the first was on its way: its answer could be too old for them.
        assert await asyncio.gather(*later) == [2] * 5
        await queries.stop()

    asyncio.run(play())


def test_a_slow_question_does_not_hold_up_the_others(database: str) -> None:
    async def play() -> None:
        storage = open_storage(database)
        commands = Commands(WriterThread(storage, now, batch_max=9, queue_max=9))
        queries = reads(database)
        await commands.start()
        queries.start()
        slow = Slow()
        waiting = asyncio.create_task(queries.run(Query(slow, cost="page")))
        await asyncio.to_thread(slow.asked.wait, 30)
        await commands.submit(RegisterUser(None))
        assert await queries.run(Query(wallets.read_balance, (1,))) == CurrentBalance(0)
        slow.go_on.set()
        await waiting
        await queries.stop()
        await commands.stop()

    asyncio.run(play())


def fails(_: Snapshot) -> None:
    raise RuntimeError("injected")


def asks_nonsense(snapshot: Snapshot) -> object:
    return snapshot.rows("SELECT nothing FROM nowhere")


@pytest.mark.parametrize("broken", [fails, asks_nonsense])
def test_a_question_that_fails_is_told_and_the_next_is_answered(
    database: str, broken: Callable[[Snapshot], object]
) -> None:
    async def play() -> None:
        queries = reads(database)
        queries.start()
        with pytest.raises(Unavailable):
            await queries.run(Query(broken))
        assert (await queries.run(Query(wallets.user_exists, (1,)))) is False
        await queries.stop()

    asyncio.run(play())
