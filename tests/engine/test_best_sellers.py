"""The best sellers of a serving process: its refreshes beside the orders, and which query answers a request."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime
from typing import NamedTuple

import pytest

from jangteo.core import best_sellers as policy
from jangteo.engine import refresher as engine
from jangteo.engine.backfill import RETRY_AFTER_S, Backfill
from jangteo.engine.best_sellers import BestSellers, BestSellersRequest
from jangteo.engine.commands import Commands
from jangteo.engine.reads import Reads
from jangteo.engine.refresher import MAX_RETRY_AFTER_S, REFRESH_EVERY_S, Refresher
from jangteo.engine.worker_pool import Overloaded
from jangteo.engine.writer.thread import WriterThread
from jangteo.storage.best_sellers import query, refresh
from jangteo.storage.best_sellers.refresh import PlannedRefresh
from jangteo.storage.errors import Unavailable, Unreachable
from jangteo.storage.port import Query, Snapshot
from jangteo.storage.urls import open_storage
from tests.storage.best_sellers.shop import BestSellersShop, best_sellers_shop
from tests.storage.shops import DAY, OPENED

NOW = OPENED + 40 * DAY


@pytest.fixture
def shop(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[BestSellersShop]:
    monkeypatch.setattr(policy, "MIN_CHANGES", 1)
    with best_sellers_shop(database) as shop:
        shop.buy((1, 3), at=NOW - DAY)
        yield shop
        assert shop.wrong(NOW) == []


def now() -> datetime:
    return NOW


class Parts(NamedTuple):
    best_sellers: BestSellers
    refresher: Refresher
    backfill: Backfill


def play(shop: BestSellersShop, test: Callable[[Parts], Awaitable[None]]) -> None:
    async def run() -> None:
        storage = open_storage(shop.database)
        commands = Commands(WriterThread(storage, now, batch_max=9, queue_max=9))
        reads = Reads(storage, now, threads=1, batch_max=9, queue_max=9)
        await commands.start()
        reads.start()
        refresher = Refresher(commands, reads)
        await test(Parts(BestSellers(reads, refresher.request_window), refresher, Backfill(commands, reads)))
        await refresher.stop()
        await reads.stop()
        await commands.stop()

    asyncio.run(run())


def test_a_refresh_is_applied_and_then_there_is_nothing_to_do(shop: BestSellersShop) -> None:
    async def test(parts: Parts) -> None:
        assert await parts.refresher.refresh() == REFRESH_EVERY_S
        assert shop.ids("sales_deltas") == []
        assert await parts.refresher.refresh() == REFRESH_EVERY_S
        assert shop.rows("SELECT version FROM best_seller_version") == [(1,)]

    play(shop, test)


def test_with_more_to_do_the_next_refresh_follows_at_once(
    shop: BestSellersShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refresh, "DELTAS_PER_REFRESH", 1)
    shop.buy((1, 1), at=NOW)

    async def test(parts: Parts) -> None:
        assert [await parts.refresher.refresh() for _ in range(3)] == [0, 0, REFRESH_EVERY_S]
        assert shop.best(NOW) == [(1, 4)]

    play(shop, test)


def test_after_a_conflict_it_waits_and_keeps_the_requested_windows(
    shop: BestSellersShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = shop.plan(NOW, 7)
    assert planned is not None
    seen: list[frozenset[int]] = []

    def plan(_: Snapshot, requested: frozenset[int]) -> PlannedRefresh | None:
        seen.append(requested)
        return planned

    async def test(parts: Parts) -> None:
        await parts.best_sellers.read(BestSellersRequest(5, 7, "summary"))
        monkeypatch.setattr(engine, "plan_refresh", plan)
        shop.refresh(NOW)
        for _attempt in range(2):
            assert await parts.refresher.refresh() == RETRY_AFTER_S
        assert seen == [frozenset({7})] * 2

    play(shop, test)


def test_a_window_is_rebuilt_and_the_old_one_removed(shop: BestSellersShop) -> None:
    reported: list[float] = []

    async def test(parts: Parts) -> None:
        await parts.refresher.refresh()
        shop.change("UPDATE best_seller_buckets SET units = '[0,9]', max_units = 9")
        await parts.backfill.rebuild(3, reported.append)
        assert shop.best(NOW) == [(1, 3)]
        await parts.backfill.remove_retired()
        assert shop.states() == [(2, 3, "active")]
        assert len(shop.ids("best_seller_buckets")) == 1

    play(shop, test)
    assert reported[-1] == 1


@pytest.mark.parametrize(
    ("method", "days", "queries"),
    [("summary", 3, ["view"]), ("summary", 7, ["view", "direct"]), ("direct", 3, ["direct"])],
)
def test_without_an_active_window_the_orders_answer(
    shop: BestSellersShop, monkeypatch: pytest.MonkeyPatch, method: str, days: int, queries: list[str]
) -> None:
    run, asked = Reads.run, list[str]()

    async def recorded(self: Reads, query: Query[object]) -> object:
        asked.append("view" if query.cost == "point" else "direct")
        return await run(self, query)

    monkeypatch.setattr(Reads, "run", recorded)

    async def test(parts: Parts) -> None:
        answer = await parts.best_sellers.read(
            BestSellersRequest(5, days, "direct" if method == "direct" else "summary")
        )
        assert (answer.timestamp, [(each.id, each.sold) for each in answer.value]) == (NOW, [(1, 3)])

    play(shop, test)
    assert asked == queries


def test_only_windows_requested_from_the_view_are_started(shop: BestSellersShop) -> None:
    async def test(parts: Parts) -> None:
        await parts.best_sellers.read(BestSellersRequest(5, 7, "direct"))
        await parts.refresher.refresh()
        assert shop.states() == [(1, 3, "active")]
        await parts.best_sellers.read(BestSellersRequest(5, 7, "summary"))
        await parts.refresher.refresh()
        assert [days for _, days, _ in shop.states()] == [3, 7]

    play(shop, test)


def test_direct_queries_of_one_snapshot_run_once_whatever_their_limits(
    shop: BestSellersShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.buy((2, 1), (128, 1), at=NOW)
    run, equal = Reads.run, set[Query[object]]()

    async def recorded(self: Reads, query: Query[object]) -> object:
        equal.add(query)
        return await run(self, query)

    monkeypatch.setattr(Reads, "run", recorded)

    async def test(parts: Parts) -> None:
        answers = [await parts.best_sellers.read(BestSellersRequest(limit, 3, "direct")) for limit in (1, 2, 100)]
        assert [len(answer.value) for answer in answers] == [1, 2, 3]

    play(shop, test)
    assert equal == {Query(query.count_best_sellers, (3,), cost="scan")}


@pytest.mark.parametrize(
    ("outcomes", "pauses"),
    [
        ([Unavailable("gone")] * 6, [3, 6, 12, 24, 48, MAX_RETRY_AFTER_S]),
        ([ValueError("a defect")] * 3, [3, 6, 12]),
        ([Unavailable("gone"), ValueError("a defect"), 1, Unavailable("gone")], [3, 6, 1, 3]),
        # Nothing was tried: the writer has others to serve first.
        ([Overloaded("full")] * 3, [3, 3, 3]),
        # After an outage the deltas of a minute would have piled up.
        ([Unreachable("down")] * 3, [3, 3, 3]),
    ],
    ids=["unavailable", "defect", "recovered", "overloaded", "unreachable"],
)
def test_a_refresh_that_keeps_failing_backs_off(
    sqlite_database: str, monkeypatch: pytest.MonkeyPatch, outcomes: list[Exception | float], pauses: list[float]
) -> None:
    seen, left, all_seen = list[float](), iter(outcomes), asyncio.Event()

    async def refresh_or_fail(_: Refresher) -> float:
        outcome = next(left)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def record(closing: asyncio.Event, seconds: float) -> None:
        seen.append(seconds)
        if len(seen) == len(outcomes):
            closing.set()
            all_seen.set()

    monkeypatch.setattr(Refresher, "refresh", refresh_or_fail)
    monkeypatch.setattr(engine, "pause", record)

    async def test(parts: Parts) -> None:
        parts.refresher.start()
        await all_seen.wait()

    with best_sellers_shop(sqlite_database) as shop:
        play(shop, test)
    assert seen == pauses
