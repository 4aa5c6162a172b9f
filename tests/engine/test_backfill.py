"""Windows of the best sellers that are built: whoever builds one is heard of, however long it takes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing
from datetime import datetime, timedelta
from threading import Event
from typing import Any

import pytest

from jangteo.core.best_sellers import DEFAULT_DAYS
from jangteo.core.counting import CountSales, Window
from jangteo.engine import best_sellers as engine
from jangteo.engine.best_sellers import Counting, Ended
from jangteo.engine.commands import Commands
from jangteo.engine.reads import Reads
from jangteo.engine.writer.thread import WriterThread
from jangteo.storage.best_sellers import refresh
from jangteo.storage.best_sellers.refresh import HEARD_WITHIN, WindowGone, plan_building, plan_step, read_windows
from jangteo.storage.errors import Unavailable
from jangteo.storage.urls import open_storage
from tests.storage.shops import DAY, OPENED, Shop

MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)


class Clock:
    def __init__(self) -> None:
        self.now = OPENED + timedelta(hours=1)

    def __call__(self) -> datetime:
        return self.now


class Held:
    """Is told how far a count is, and holds it up there until it may go on."""

    def __init__(self) -> None:
        self.arrived = Event()
        self.go_on = Event()

    def __call__(self, done: float) -> None:
        self.arrived.set()
        assert self.go_on.wait(30)


@pytest.fixture
def shop(database: str) -> Iterator[Shop]:
    """A shop that has sold something, at work nobody but the test."""
    with closing(Shop(database)) as shop:
        shop.set_up()
        shop.order(3)
        yield shop


@pytest.fixture
def clock() -> Clock:
    return Clock()


@asynccontextmanager
async def at_work(shop: Shop, clock: Clock) -> AsyncIterator[Counting]:
    storage = open_storage(shop.database)
    commands = Commands(WriterThread(storage, clock, batch_max=9, queue_max=99))
    reads = Reads(storage, clock, threads=1, batch_max=9, queue_max=99)
    await commands.start()
    reads.start()
    yield Counting(commands, reads)
    await commands.stop()
    await reads.stop()


def play(shop: Shop, clock: Clock, test: Callable[[Counting, Held, asyncio.Task[None]], Awaitable[None]]) -> None:
    """Rebuild the window of three days, and go on with the test where the count is held up."""

    async def run() -> None:
        held = Held()
        async with at_work(shop, clock) as counting:
            rebuilding = asyncio.create_task(counting.rebuild(DEFAULT_DAYS, held))
            assert await asyncio.to_thread(held.arrived.wait, 30)
            await test(counting, held, rebuilding)

    asyncio.run(run())


def step(shop: Shop, at: datetime) -> None:
    """What a server does."""
    planned = shop.look(plan_step, frozenset(), at=at)
    if planned is not None:
        shop.do(planned.command, at=at)


def states(shop: Shop) -> list[tuple[int, str]]:
    return [(window.window_id, window.state) for window in shop.look(read_windows)]


async def until(shop: Shop, says: Callable[[Window], bool]) -> None:
    while not says(shop.look(read_windows)[-1]):  # noqa: ASYNC110 - it is a row that is waited for
        await asyncio.sleep(0.01)


def test_a_window_that_takes_longer_than_anyone_is_waited_for(
    shop: Shop, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "HEARD_EVERY_S", 0.01)

    async def test(_: Counting, held: Held, rebuilding: asyncio.Task[None]) -> None:
        started_at = clock.now
        for _minute in range(6):
            clock.now += MINUTE
            await until(shop, lambda window: window.requested_at == clock.now)
            step(shop, clock.now)
            assert states(shop) == [(1, "active"), (2, "backfilling")]
        assert shop.look(read_windows)[-1].started_at == started_at, "it is still known since when"
        held.go_on.set()
        await rebuilding

    play(shop, clock, test)
    assert states(shop) == [(1, "retired"), (2, "active")]
    assert shop.wrong(clock.now) == []


def test_one_of_which_nobody_is_heard_is_let_go_of(shop: Shop, clock: Clock) -> None:
    async def test(_: Counting, held: Held, rebuilding: asyncio.Task[None]) -> None:
        step(shop, clock.now + HEARD_WITHIN)
        assert states(shop) == [(1, "active"), (2, "backfilling")], "it is not yet"
        clock.now += HEARD_WITHIN + SECOND
        step(shop, clock.now)
        assert states(shop) == [(1, "active"), (2, "retired")]
        held.go_on.set()
        with pytest.raises(WindowGone):
            await rebuilding

    play(shop, clock, test)
    assert states(shop) == [(1, "active"), (2, "retired")]
    assert shop.wrong(clock.now) == []


def test_who_was_taken_for_dead_leaves_the_next_window_of_the_same_number_alone(shop: Shop, clock: Clock) -> None:
    async def test(_: Counting, held: Held, rebuilding: asyncio.Task[None]) -> None:
        clock.now += HEARD_WITHIN + SECOND
        step(shop, clock.now)
        step(shop, clock.now)
        assert states(shop) == [(1, "active")]
        shop.do(shop.look(plan_building, 7, at=clock.now), at=clock.now)
        held.go_on.set()
        with pytest.raises(WindowGone):
            await rebuilding

    play(shop, clock, test)
    assert states(shop) == [(1, "active"), (2, "backfilling")]
    assert shop.rows("SELECT id FROM best_seller_buckets WHERE window_id = 2") == []


def test_what_is_gone_is_not_counted_to_its_end(shop: Shop, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "HEARD_EVERY_S", 0.05)
    monkeypatch.setattr(refresh, "ORDERS_AT_ONCE", 1)
    shop.order(at=OPENED + SECOND)
    told: list[float] = []

    class Publisher(Held):
        def __call__(self, done: float) -> None:
            told.append(done)
            super().__call__(done)

    async def run() -> None:
        held = Publisher()
        async with at_work(shop, clock) as work:
            rebuilding = asyncio.create_task(work.rebuild(DEFAULT_DAYS, held))
            assert await asyncio.to_thread(held.arrived.wait, 30)
            step(shop, clock.now + HEARD_WITHIN + SECOND)
            await asyncio.wait([task for task in asyncio.all_tasks() if "_be_heard" in repr(task.get_coro())])
            held.go_on.set()
            with pytest.raises(WindowGone):
                await rebuilding

    asyncio.run(run())
    assert len(told) == 1, "the first of several bites"


def test_a_count_that_is_ended_leaves_no_window_behind(
    shop: Shop, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refresh, "ORDERS_AT_ONCE", 1)
    shop.order(at=OPENED + SECOND)

    async def test(work: Counting, held: Held, rebuilding: asyncio.Task[None]) -> None:
        work.end()
        held.go_on.set()
        with pytest.raises(Ended):
            await rebuilding

    play(shop, clock, test)
    assert states(shop) == [(1, "active"), (2, "retired")]
    step(shop, clock.now)
    assert states(shop) == [(1, "active")]
    assert shop.wrong(clock.now) == []


def test_a_server_that_closes_lets_go_of_what_it_builds(
    shop: Shop, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refresh, "ORDERS_AT_ONCE", 1)
    shop.order(at=OPENED + SECOND)
    shop.change("DELETE FROM best_seller_windows")
    held = Held()
    count = refresh.count_window

    def count_held(snapshot: Any, begun: Window, tell: Callable[[float], None]) -> Any:
        held(0)
        return count(snapshot, begun, tell)

    monkeypatch.setattr(engine, "count_window", count_held)

    async def run() -> None:
        async with at_work(shop, clock) as work:
            work.start()
            assert await asyncio.to_thread(held.arrived.wait, 30)
            assert states(shop) == [(1, "backfilling")]
            stopping = asyncio.create_task(work.stop())
            await asyncio.sleep(0)
            held.go_on.set()
            await stopping

    asyncio.run(run())
    assert states(shop) == [(1, "retired")], "the next one needn't wait until it is taken for dead"


def test_what_is_let_go_of_is_removed_and_nothing_else(
    shop: Shop, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refresh, "FEW", 1)
    monkeypatch.setattr(refresh, "PAGES_AT_ONCE", 1)

    async def run() -> None:
        async with at_work(shop, clock) as work:
            step(shop, clock.now)
            for _ in range(3):
                await work.rebuild(7, lambda _: None)
            assert states(shop) == [(1, "active"), (2, "retired"), (3, "retired"), (4, "active")]
            assert {page >> 46 for page in shop.ids("best_seller_buckets")} == {1, 2, 3, 4}
            shop.change("DELETE FROM best_seller_windows WHERE id = 1")
            await work.remove_old()
            assert states(shop) == [(4, "active")], "no other window was begun"
            await work.remove_old()

    asyncio.run(run())
    assert {page >> 46 for page in shop.ids("best_seller_buckets")} == {1, 4}


def test_a_database_that_cannot_be_written_just_now_is_asked_again(
    shop: Shop, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "STAND_BACK_S", 0.01)
    submit, failing = Commands.submit, [1, 0, 1, 1]

    def fail_or_submit(self: Commands, command: Any, key: str | None = None) -> Any:
        if isinstance(command, CountSales) and failing and failing.pop():
            raise Unavailable("locked")
        return submit(self, command, key)

    monkeypatch.setattr(Commands, "submit", fail_or_submit)

    async def run() -> None:
        async with at_work(shop, clock) as work:
            await work.rebuild(DEFAULT_DAYS, lambda _: None)

    asyncio.run(run())
    assert failing == []
    assert states(shop) == [(1, "retired"), (2, "active")]


def test_a_window_that_is_whole_without_its_builder_having_heard_is_whole(
    shop: Shop, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "STAND_BACK_S", 0.01)
    submit, commands = Commands.submit, []

    async def unheard(answer: Awaitable[Any]) -> Any:
        await answer
        raise Unavailable("the writer was killed, what it did is not known")

    def submit_unheard(self: Commands, command: Any, key: str | None = None) -> Any:
        commands.append(command)
        answer = submit(self, command, key)
        return unheard(answer) if len(commands) == 2 else answer

    monkeypatch.setattr(Commands, "submit", submit_unheard)

    async def run() -> None:
        async with at_work(shop, clock) as work:
            await work.rebuild(DEFAULT_DAYS, lambda _: None)

    asyncio.run(run())
    assert len(commands) == 2, "begun and finished, each once"
    assert states(shop) == [(1, "retired"), (2, "active")]
    assert shop.wrong(clock.now) == []


def test_one_given_up_for_the_database_is_let_go_of_as_far_as_that_can_be_done(
    shop: Shop, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise Unavailable("a page can't be read")

    monkeypatch.setattr(engine, "count_window", fail)

    async def run() -> None:
        async with at_work(shop, clock) as work:
            with pytest.raises(Unavailable, match="a page can't be read"):
                await work.rebuild(DEFAULT_DAYS, lambda _: None)

    asyncio.run(run())
    assert states(shop) == [(1, "active"), (2, "retired")]


def test_what_leaves_a_window_waits_until_all_notes_are_counted(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refresh, "FEW", 1)
    monkeypatch.setattr(refresh, "NOTES_AT_ONCE", 2)
    first, *_ = shop.order(at=OPENED + SECOND)
    step(shop, OPENED + SECOND)
    leaves_at = OPENED + SECOND + DEFAULT_DAYS * DAY
    for _ in range(3):
        shop.order(at=leaves_at - SECOND)
    # Its note is behind those that one step counts; by then it has left the window.
    shop.cancel(first, at=leaves_at - SECOND)
    for _ in range(4):
        step(shop, leaves_at + SECOND)
    assert shop.rows("SELECT COUNT(*) FROM sales_deltas") == [(0,)]
    assert shop.wrong(leaves_at + SECOND) == []
