"""The counting beside the orders: whoever counts, and whoever comes too late."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime

import pytest

from jangteo.engine.best_sellers import LOOK_EVERY_S, STAND_BACK_S, Counting
from jangteo.engine.commands import Commands
from jangteo.engine.reads import Reads
from jangteo.engine.writer.thread import WriterThread
from jangteo.storage.best_sellers import refresh
from jangteo.storage.urls import open_storage
from tests.storage.refreshed import CountedShop, counted_shop
from tests.storage.shops import DAY, OPENED

NOW = OPENED + 40 * DAY


@pytest.fixture
def shop(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[CountedShop]:
    monkeypatch.setattr(refresh, "FEW", 1)
    with counted_shop(database) as shop:
        shop.buy((1, 3), at=NOW - DAY)
        yield shop
        assert shop.wrong(NOW) == []


def now() -> datetime:
    return NOW


def play(shop: CountedShop, does: Callable[[Counting, Reads], Awaitable[None]]) -> None:
    async def with_both() -> None:
        storage = open_storage(shop.database)
        commands = Commands(WriterThread(storage, now, batch_max=9, queue_max=9))
        reads = Reads(storage, now, threads=1, batch_max=9, queue_max=9)
        await commands.start()
        reads.start()
        counts = Counting(commands, reads)
        await does(counts, reads)
        await counts.stop()
        await reads.stop()
        await commands.stop()

    asyncio.run(with_both())


def test_a_step_is_done_and_then_there_is_nothing_to_do(shop: CountedShop) -> None:
    async def does(counts: Counting, _: Reads) -> None:
        assert await counts.step() == LOOK_EVERY_S
        assert shop.ids("sales_deltas") == []
        assert await counts.step() == LOOK_EVERY_S
        assert shop.rows("SELECT steps FROM best_seller_version") == [(1,)]

    play(shop, does)


def test_with_more_to_do_it_goes_on_at_once(shop: CountedShop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refresh, "NOTES_AT_ONCE", 1)
    shop.buy((1, 1), at=NOW)

    async def does(counts: Counting, _: Reads) -> None:
        assert [await counts.step() for _ in range(3)] == [0, 0, LOOK_EVERY_S]
        assert shop.agreed(NOW) == [(1, 4)]

    play(shop, does)


def test_who_comes_too_late_leaves_it_to_others_and_forgets_no_window(
    shop: CountedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = shop.plan(NOW, 7)
    assert planned is not None

    async def does(counts: Counting, reads: Reads) -> None:
        reads.windows_asked = {7}
        monkeypatch.setattr("jangteo.engine.best_sellers.plan_step", lambda *_, asked: planned)
        shop.step(NOW)
        assert await counts.step() == STAND_BACK_S
        assert reads.windows_asked == {7}

    play(shop, does)


def test_a_window_is_rebuilt_and_the_old_one_removed(shop: CountedShop) -> None:
    told: list[float] = []

    async def does(counts: Counting, _: Reads) -> None:
        await counts.step()
        shop.change("UPDATE best_seller_buckets SET sold = '[0,9]', best = 9")
        await counts.rebuild(3, told.append)
        assert shop.agreed(NOW) == [(1, 3)]
        await counts.remove_old()
        assert shop.states() == [(2, 3, "active")]
        assert len(shop.ids("best_seller_buckets")) == 1

    play(shop, does)
