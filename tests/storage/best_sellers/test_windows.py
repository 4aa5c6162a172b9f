"""The life of a window: started when requested, active once backfilled, retired when unrequested, then removed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from jangteo.core import best_sellers
from jangteo.core.best_sellers import (
    HEARTBEAT_TIMEOUT,
    MAX_EXTRA_WINDOWS,
    MIN_CHANGES,
    RETIRE_UNREQUESTED_AFTER,
)
from jangteo.storage.best_sellers import refresh, sold_units
from jangteo.storage.best_sellers.backfill import WindowRetired, plan_finish, plan_start, scan_orders
from tests.storage.best_sellers.shop import PRODUCTS, BestSellersShop, best_sellers_shop
from tests.storage.shops import DAY, OPENED

HOUR, SECOND, MICRO = timedelta(hours=1), timedelta(seconds=1), timedelta(microseconds=1)
NOW = OPENED + 40 * DAY
FAR = PRODUCTS[-1]
THREE_DAYS = (1, 3, "active")


@pytest.fixture
def shop(database: str) -> Iterator[BestSellersShop]:
    with best_sellers_shop(database) as shop:
        yield shop
        assert shop.wrong(NOW) == []


def test_a_requested_window_is_started_and_active_once_backfilled(shop: BestSellersShop) -> None:
    shop.buy((1, 3), (FAR, 1), at=NOW - 6 * DAY)
    assert shop.plan(NOW) is None
    window = shop.start_window(NOW, 7)
    assert (window.days, window.since, window.state) == (7, NOW - 7 * DAY, "backfilling")
    assert not shop.view_answers(NOW, 7)
    assert shop.plan(NOW, 7) is None, "it is started once"
    shop.finish(window, shop.missing(window, NOW), NOW)
    assert shop.view_answers(NOW, 7)
    assert shop.best(NOW, 7) == [(1, 3), (FAR, 1)]
    assert shop.states() == [THREE_DAYS, (2, 7, "active")]


def test_orders_and_cancellations_during_a_backfill_count_once(
    shop: BestSellersShop, eager: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sold_units, "ORDERS_PER_CHUNK", 2)
    old = NOW - 7 * DAY
    orders = [shop.buy((product, 3), (FAR, 1), at=old + number * SECOND) for number, product in enumerate(PRODUCTS)]
    window = shop.start_window(NOW, 7)
    shop.buy((1, 5), at=NOW)
    shop.cancel(orders[1], at=NOW)
    shop.refresh_if_worth_it(NOW + SECOND)
    # Deltas that wait when the orders are scanned.
    shop.buy((2, 4), at=NOW + SECOND)
    shop.cancel(orders[2], at=NOW + SECOND)
    missing = shop.missing(window, NOW + SECOND)
    shop.cancel(orders[3], at=NOW + SECOND)
    shop.buy((FAR, 4), at=NOW + 2 * SECOND)
    shop.refresh_if_worth_it(NOW + 4 * SECOND)
    shop.refresh_if_worth_it(NOW + 4 * SECOND)
    shop.cancel(orders[5], at=NOW + 4 * SECOND)
    shop.finish(window, missing, NOW + 4 * SECOND)
    for later in (4 * SECOND, 5 * SECOND, 6 * SECOND, 9 * SECOND):
        assert shop.view_answers(NOW + later, 7)
        shop.best(NOW + later, 7)
        assert shop.wrong(NOW + later) == []
        shop.refresh_if_worth_it(NOW + later)
    assert shop.best(NOW + 9 * SECOND, 7) == [(1, 5), (2, 4), (FAR, 4)]


def test_a_scan_reports_its_progress_and_the_report_may_end_it(
    shop: BestSellersShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sold_units, "ORDERS_PER_CHUNK", 2)
    for number in range(6):
        shop.buy((1, 1), at=NOW - number * DAY)
    window, reported = shop.start_window(NOW, 7), list[float]()
    assert shop.look(scan_orders, window, reported.append, at=NOW) == {1: 6}
    assert reported == sorted(reported)
    assert (len(reported), reported[-1]) == (4, 1)
    assert all(0 < part <= 1 for part in reported)

    def end(_: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shop.look(scan_orders, window, end, at=NOW)


def test_a_window_without_heartbeats_is_retired_and_started_again(shop: BestSellersShop) -> None:
    shop.buy((1, 3), at=NOW - 6 * DAY)
    lost = shop.start_window(NOW, 7)
    missing = shop.missing(lost, NOW)
    assert shop.plan(NOW + HEARTBEAT_TIMEOUT, 7) is None
    late = NOW + HEARTBEAT_TIMEOUT + MICRO
    window = shop.start_window(late, 7)
    assert shop.states() == [THREE_DAYS, (2, 7, "retired"), (3, 7, "backfilling")]
    with pytest.raises(WindowRetired):
        shop.missing(lost, late)
    with pytest.raises(WindowRetired):
        shop.look(plan_finish, lost, missing, at=late)
    shop.finish(window, shop.missing(window, late), late)
    assert shop.view_answers(late, 7)
    assert shop.best(late, 7) == [(1, 3)]
    shop.refresh(late)
    assert shop.states() == [THREE_DAYS, (3, 7, "active")]


def test_a_late_backfill_does_not_finish_another_window_with_the_same_id(shop: BestSellersShop) -> None:
    shop.buy((1, 3), at=NOW - 6 * DAY)
    lost = shop.start_window(NOW, 7)
    missing = shop.missing(lost, NOW)
    late = NOW + HEARTBEAT_TIMEOUT + MICRO
    shop.refresh(late)
    shop.refresh(late)
    window = shop.start_window(late, 5)
    assert window.window_id == lost.window_id
    with pytest.raises(WindowRetired):
        shop.missing(lost, late)
    with pytest.raises(WindowRetired):
        shop.look(plan_finish, lost, missing, at=late)
    shop.finish(window, shop.missing(window, late), late)
    assert shop.view_answers(late, 5)
    assert shop.best(late, 5) == []


def test_a_finish_of_an_older_version_is_planned_again(shop: BestSellersShop, eager: None) -> None:
    shop.buy((1, 3), at=NOW - 6 * DAY)
    window = shop.start_window(NOW, 7)
    missing = shop.missing(window, NOW)
    early = shop.look(plan_finish, window, missing, at=NOW)
    assert early is not None
    shop.buy((1, 1), at=NOW)
    shop.refresh(NOW)
    assert not shop.is_applied(early, NOW)
    assert not shop.view_answers(NOW, 7)
    shop.finish(window, missing, NOW)
    assert shop.view_answers(NOW, 7)
    assert shop.best(NOW, 7) == [(1, 4)]


def test_an_unrequested_window_is_retired_and_removed_in_chunks(
    shop: BestSellersShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.buy(*[(product, 1) for product in PRODUCTS], at=NOW)
    shop.add_window(NOW, 7)
    shop.add_window(NOW, 5)
    monkeypatch.setattr(best_sellers, "MIN_CHANGES", 0)
    end = NOW + RETIRE_UNREQUESTED_AFTER
    shop.refresh(end)
    monkeypatch.setattr(best_sellers, "MIN_CHANGES", MIN_CHANGES)
    assert shop.states() == [THREE_DAYS, (2, 7, "active"), (3, 5, "active")]
    # A client requests one of them again.
    shop.refresh(end, 5)
    monkeypatch.setattr(refresh, "BUCKETS_REMOVED_PER_REFRESH", 2)
    buckets, has_more = len(shop.ids("best_seller_buckets")), list[bool]()
    shop.refresh(end + MICRO)
    assert shop.states() == [THREE_DAYS, (2, 7, "retired"), (3, 5, "active")]
    assert not shop.view_answers(end + MICRO, 7)
    while (planned := shop.plan(end + MICRO)) is not None:
        assert shop.is_applied(planned.command, end + MICRO)
        has_more.append(planned.has_more)
    assert has_more == [True, True, False], "four buckets"
    assert len(shop.ids("best_seller_buckets")) == buckets * 2 // 3
    assert shop.states() == [THREE_DAYS, (3, 5, "active")]
    assert shop.view_answers(end + MICRO, 5)
    assert shop.best(end + MICRO, 5) == shop.best(end + MICRO, 3)


def test_the_default_window_stays_active_unrequested(shop: BestSellersShop) -> None:
    assert shop.plan(NOW + 30 * DAY) is None
    assert shop.view_answers(NOW + 30 * DAY, 3)


def test_requests_are_recorded_once_an_hour(shop: BestSellersShop) -> None:
    shop.add_window(NOW, 7)
    assert shop.plan(NOW + HOUR, 7) is None
    shop.refresh(NOW + HOUR + MICRO, 7)
    assert shop.plan(NOW + HOUR + 2 * MICRO, 7) is None


def test_no_more_windows_than_the_maximum_are_started(shop: BestSellersShop) -> None:
    for days in range(10, 10 + MAX_EXTRA_WINDOWS):
        shop.add_window(NOW, days)
    assert shop.plan(NOW, 20) is None
    assert len(shop.states()) == 1 + MAX_EXTRA_WINDOWS


def test_of_several_requested_windows_one_is_started_at_a_time(shop: BestSellersShop) -> None:
    for days in (5, 7, 30):
        assert [window.days for window in shop.refresh(NOW, 5, 7, 30).refresh.new_windows] == [days]


def test_a_window_is_rebuilt_while_the_old_one_answers(shop: BestSellersShop, eager: None) -> None:
    shop.buy((1, 3), (FAR, 2), at=NOW - DAY)
    shop.refresh(NOW)
    # Something has damaged it.
    shop.change("UPDATE best_seller_buckets SET units = '[0,9]', max_units = 9 WHERE window_id = 1 AND max_units = 3")
    assert shop.wrong(NOW) != []
    started = shop.look(plan_start, 3, at=NOW)
    assert shop.is_applied(started, NOW)
    (window,) = started.refresh.new_windows
    shop.buy((1, 1), at=NOW)
    assert shop.view_answers(NOW, 3)
    missing = shop.missing(window, NOW)
    shop.refresh(NOW)
    shop.finish(window, missing, NOW)
    assert shop.best(NOW) == [(1, 4), (FAR, 2)]
    assert shop.states() == [(1, 3, "retired"), (2, 3, "active")]
    assert shop.wrong(NOW) == []
    shop.refresh(NOW)
    assert shop.states() == [(2, 3, "active")]
    assert len(shop.ids("best_seller_buckets")) == 2
