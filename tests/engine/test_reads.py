"""Queries that wait together are answered from one snapshot, equal ones once; no answer is older than its query."""

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
    """A query that waits until `resume` is set, and answers how often it has been run."""

    def __init__(self) -> None:
        self.has_begun = Event()
        self.resume = Event()
        self.times = 0

    def __call__(self, snapshot: Snapshot, *_: Any) -> int:
        self.times += 1
        self.has_begun.set()
        assert self.resume.wait(30)
        return self.times


def test_equal_queries_that_wait_are_run_once(database: str) -> None:
    async def scenario() -> None:
        running = reads(database)
        running.start()
        slow = Slow()
        first = asyncio.create_task(running.run(Query(slow)))
        await asyncio.to_thread(slow.has_begun.wait, 30)
        later = [asyncio.create_task(running.run(Query(slow))) for _ in range(5)]
        await asyncio.sleep(0)
        slow.resume.set()
        assert await first == 1
        # They arrived after the first had begun: its answer could be too old for them.
        assert await asyncio.gather(*later) == [2] * 5
        await running.stop()

    asyncio.run(scenario())


def test_a_slow_query_does_not_delay_commands_and_point_queries(database: str) -> None:
    async def scenario() -> None:
        storage = open_storage(database)
        commands = Commands(WriterThread(storage, now, batch_max=9, queue_max=9))
        running = reads(database)
        await commands.start()
        running.start()
        slow = Slow()
        waiting = asyncio.create_task(running.run(Query(slow, cost="page")))
        await asyncio.to_thread(slow.has_begun.wait, 30)
        await commands.submit(RegisterUser(None))
        assert await running.run(Query(wallets.read_balance, (1,))) == CurrentBalance(0)
        slow.resume.set()
        await waiting
        await running.stop()
        await commands.stop()

    asyncio.run(scenario())


def raises(_: Snapshot) -> None:
    raise RuntimeError("injected")


def sends_invalid_sql(snapshot: Snapshot) -> object:
    return snapshot.rows("SELECT nothing FROM nowhere")


@pytest.mark.parametrize("broken", [raises, sends_invalid_sql])
def test_a_query_that_fails_is_unavailable_and_the_next_is_answered(
    database: str, broken: Callable[[Snapshot], object]
) -> None:
    async def scenario() -> None:
        running = reads(database)
        running.start()
        with pytest.raises(Unavailable):
            await running.run(Query(broken))
        assert (await running.run(Query(wallets.user_exists, (1,)))) is False
        await running.stop()

    asyncio.run(scenario())
