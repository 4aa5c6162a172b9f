"""Backfills: heartbeats, aborts, retries, and windows that were retired meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing
from datetime import datetime, timedelta
from threading import Event
from typing import Any

import pytest

from jangteo.core import best_sellers as policy
from jangteo.core.best_sellers import DEFAULT_DAYS, HEARTBEAT_TIMEOUT, RefreshBestSellers
from jangteo.core.entities import Window
from jangteo.engine import backfill as engine
from jangteo.engine.backfill import Backfill, BackfillAborted
from jangteo.engine.commands import Commands
from jangteo.engine.reads import Reads
from jangteo.engine.refresher import Refresher
from jangteo.engine.writer.thread import WriterThread
from jangteo.storage.best_sellers import refresh, sold_units
from jangteo.storage.best_sellers.backfill import WindowRetired, plan_start, scan_orders
from jangteo.storage.best_sellers.refresh import plan_refresh
from jangteo.storage.best_sellers.windows import read_windows
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


class BlockingReport:
    """Is called with the progress of a scan, and blocks it there until it may go on."""

    def __init__(self) -> None:
        self.arrived = Event()
        self.go_on = Event()

    def __call__(self, done: float) -> None:
        self.arrived.set()
        assert self.go_on.wait(30)


@pytest.fixture
def shop(database: str) -> Iterator[Shop]:
    """A shop that has sold something, and that only the test refreshes."""
    with closing(Shop(database)) as shop:
        shop.set_up()
        shop.order(3)
        yield shop


@pytest.fixture
def clock() -> Clock:
    return Clock()


@asynccontextmanager
async def running(shop: Shop, clock: Clock) -> AsyncIterator[tuple[Backfill, Refresher]]:
    storage = open_storage(shop.database)
    commands = Commands(WriterThread(storage, clock, batch_max=9, queue_max=99))
    reads = Reads(storage, clock, threads=1, batch_max=9, queue_max=99)
    await commands.start()
    reads.start()
    yield Backfill(commands, reads), Refresher(commands, reads)
    await commands.stop()
    await reads.stop()


def play(
    shop: Shop, clock: Clock, test: Callable[[Backfill, BlockingReport, asyncio.Task[None]], Awaitable[None]]
) -> None:
    """Rebuild the window of three days, and run the test while its scan is blocked."""

    async def run() -> None:
        blocked = BlockingReport()
        async with running(shop, clock) as (backfill, _):
            rebuilding = asyncio.create_task(backfill.rebuild(DEFAULT_DAYS, blocked))
            assert await asyncio.to_thread(blocked.arrived.wait, 30)
            await test(backfill, blocked, rebuilding)

    asyncio.run(run())


def refresh_once(shop: Shop, at: datetime) -> None:
    """Refresh as a server does."""
    planned = shop.look(plan_refresh, frozenset(), at=at)
    if planned is not None:
        shop.do(planned.command, at=at)


def states(shop: Shop) -> list[tuple[int, str]]:
    return [(window.window_id, window.state) for window in shop.look(read_windows)]


async def until(shop: Shop, is_so: Callable[[Window], bool]) -> None:
    while not is_so(shop.look(read_windows)[-1]):  # noqa: ASYNC110 - waits for a row
        await asyncio.sleep(0.01)


def test_heartbeats_keep_a_long_backfill_alive(shop: Shop, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "HEARTBEAT_EVERY_S", 0.01)

    async def test(_: Backfill, blocked: BlockingReport, rebuilding: asyncio.Task[None]) -> None:
        started_at = clock.now
        for _minute in range(6):
            clock.now += MINUTE
            await until(shop, lambda window: window.heartbeat_at == clock.now)
            refresh_once(shop, clock.now)
            assert states(shop) == [(1, "active"), (2, "backfilling")]
        assert shop.look(read_windows)[-1].started_at == started_at, "a heartbeat leaves it as it is"
        blocked.go_on.set()
        await rebuilding

    play(shop, clock, test)
    assert states(shop) == [(1, "retired"), (2, "active")]
    assert shop.wrong(clock.now) == []


def test_a_window_without_heartbeats_is_retired(shop: Shop, clock: Clock) -> None:
    async def test(_: Backfill, blocked: BlockingReport, rebuilding: asyncio.Task[None]) -> None:
        refresh_once(shop, clock.now + HEARTBEAT_TIMEOUT)
        assert states(shop) == [(1, "active"), (2, "backfilling")], "not yet"
        clock.now += HEARTBEAT_TIMEOUT + SECOND
        refresh_once(shop, clock.now)
        assert states(shop) == [(1, "active"), (2, "retired")]
        blocked.go_on.set()
        with pytest.raises(WindowRetired):
            await rebuilding

    play(shop, clock, test)
    assert states(shop) == [(1, "active"), (2, "retired")]
    assert shop.wrong(clock.now) == []


def test_a_dead_backfill_leaves_the_next_window_of_the_same_id_alone(shop: Shop, clock: Clock) -> None:
    async def test(_: Backfill, blocked: BlockingReport, rebuilding: asyncio.Task[None]) -> None:
        clock.now += HEARTBEAT_TIMEOUT + SECOND
        refresh_once(shop, clock.now)
        refresh_once(shop, clock.now)
        assert states(shop) == [(1, "active")]
        shop.do(shop.look(plan_start, 7, at=clock.now), at=clock.now)
        blocked.go_on.set()
        with pytest.raises(WindowRetired):
            await rebuilding

    play(shop, clock, test)
    assert states(shop) == [(1, "active"), (2, "backfilling")]
    assert shop.rows("SELECT id FROM best_seller_buckets WHERE window_id = 2") == []


def test_the_scan_of_a_retired_window_ends_early(shop: Shop, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "HEARTBEAT_EVERY_S", 0.05)
    monkeypatch.setattr(sold_units, "ORDERS_PER_CHUNK", 1)
    shop.order(at=OPENED + SECOND)
    reported: list[float] = []

    class CountingReport(BlockingReport):
        def __call__(self, done: float) -> None:
            reported.append(done)
            super().__call__(done)

    async def run() -> None:
        blocked = CountingReport()
        async with running(shop, clock) as (backfill, _):
            rebuilding = asyncio.create_task(backfill.rebuild(DEFAULT_DAYS, blocked))
            assert await asyncio.to_thread(blocked.arrived.wait, 30)
            refresh_once(shop, clock.now + HEARTBEAT_TIMEOUT + SECOND)
            await asyncio.wait([task for task in asyncio.all_tasks() if "_send_heartbeats" in repr(task.get_coro())])
            blocked.go_on.set()
            with pytest.raises(WindowRetired):
                await rebuilding

    asyncio.run(run())
    assert len(reported) == 1, "the first of several chunks"


def test_an_aborted_backfill_leaves_no_window_behind(shop: Shop, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sold_units, "ORDERS_PER_CHUNK", 1)
    shop.order(at=OPENED + SECOND)

    async def test(backfill: Backfill, blocked: BlockingReport, rebuilding: asyncio.Task[None]) -> None:
        backfill.abort()
        blocked.go_on.set()
        with pytest.raises(BackfillAborted):
            await rebuilding

    play(shop, clock, test)
    assert states(shop) == [(1, "active"), (2, "retired")]
    refresh_once(shop, clock.now)
    assert states(shop) == [(1, "active")]
    assert shop.wrong(clock.now) == []


def test_a_closing_server_retires_the_window_it_backfills(
    shop: Shop, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sold_units, "ORDERS_PER_CHUNK", 1)
    shop.order(at=OPENED + SECOND)
    shop.change("DELETE FROM best_seller_windows")
    blocked = BlockingReport()

    def scan_blocked(snapshot: Any, started: Window, report: Callable[[float], None]) -> Any:
        blocked(0)
        return scan_orders(snapshot, started, report)

    monkeypatch.setattr(engine, "scan_orders", scan_blocked)

    async def run() -> None:
        async with running(shop, clock) as (_, refresher):
            refresher.start()
            assert await asyncio.to_thread(blocked.arrived.wait, 30)
            assert states(shop) == [(1, "backfilling")]
            stopping = asyncio.create_task(refresher.stop())
            await asyncio.sleep(0)
            blocked.go_on.set()
            await stopping

    asyncio.run(run())
    assert states(shop) == [(1, "retired")], "the next server needn't wait for the heartbeat timeout"


def test_only_retired_windows_are_removed(shop: Shop, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "MIN_CHANGES", 1)
    monkeypatch.setattr(refresh, "BUCKETS_REMOVED_PER_REFRESH", 1)

    async def run() -> None:
        async with running(shop, clock) as (backfill, _):
            refresh_once(shop, clock.now)
            for _ in range(3):
                await backfill.rebuild(7, lambda _: None)
            assert states(shop) == [(1, "active"), (2, "retired"), (3, "retired"), (4, "active")]
            assert {bucket >> 46 for bucket in shop.ids("best_seller_buckets")} == {1, 2, 3, 4}
            shop.change("DELETE FROM best_seller_windows WHERE id = 1")
            await backfill.remove_retired()
            assert states(shop) == [(4, "active")], "no other window was started"
            await backfill.remove_retired()

    asyncio.run(run())
    assert {bucket >> 46 for bucket in shop.ids("best_seller_buckets")} == {1, 4}


def test_a_change_is_retried_while_the_database_cannot_be_written(
    shop: Shop, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "RETRY_AFTER_S", 0.01)
    submit, failing = Commands.submit, [1, 0, 1, 1]

    def fail_or_submit(self: Commands, command: Any, key: str | None = None) -> Any:
        if isinstance(command, RefreshBestSellers) and failing and failing.pop():
            raise Unavailable("locked")
        return submit(self, command, key)

    monkeypatch.setattr(Commands, "submit", fail_or_submit)

    async def run() -> None:
        async with running(shop, clock) as (backfill, _):
            await backfill.rebuild(DEFAULT_DAYS, lambda _: None)

    asyncio.run(run())
    assert failing == []
    assert states(shop) == [(1, "retired"), (2, "active")]


def test_a_finish_whose_outcome_was_lost_is_not_repeated(
    shop: Shop, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "RETRY_AFTER_S", 0.01)
    submit, commands = Commands.submit, []

    async def lost(answer: Awaitable[Any]) -> Any:
        await answer
        raise Unavailable("the writer was killed, what it did is not known")

    def submit_and_lose_outcome(self: Commands, command: Any, key: str | None = None) -> Any:
        commands.append(command)
        answer = submit(self, command, key)
        return lost(answer) if len(commands) == 2 else answer

    monkeypatch.setattr(Commands, "submit", submit_and_lose_outcome)

    async def run() -> None:
        async with running(shop, clock) as (backfill, _):
            await backfill.rebuild(DEFAULT_DAYS, lambda _: None)

    asyncio.run(run())
    assert len(commands) == 2, "started and finished, each once"
    assert states(shop) == [(1, "retired"), (2, "active")]
    assert shop.wrong(clock.now) == []


def test_a_window_is_retired_if_the_database_cannot_be_read(
    shop: Shop, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise Unavailable("a block can't be read")

    monkeypatch.setattr(engine, "scan_orders", fail)

    async def run() -> None:
        async with running(shop, clock) as (backfill, _):
            with pytest.raises(Unavailable, match="a block can't be read"):
                await backfill.rebuild(DEFAULT_DAYS, lambda _: None)

    asyncio.run(run())
    assert states(shop) == [(1, "active"), (2, "retired")]


def test_orders_are_taken_out_only_once_all_deltas_are_moved(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "MIN_CHANGES", 1)
    monkeypatch.setattr(refresh, "DELTAS_PER_REFRESH", 2)
    first, *_ = shop.order(at=OPENED + SECOND)
    refresh_once(shop, OPENED + SECOND)
    leaves_at = OPENED + SECOND + DEFAULT_DAYS * DAY
    for _ in range(3):
        shop.order(at=leaves_at - SECOND)
    # Its delta is behind those of one refresh; by the time it is moved the order has left the window.
    shop.cancel(first, at=leaves_at - SECOND)
    for _ in range(4):
        refresh_once(shop, leaves_at + SECOND)
    assert shop.rows("SELECT COUNT(*) FROM sales_deltas") == [(0,)]
    assert shop.wrong(leaves_at + SECOND) == []
