"""The best sellers: ranking, the policy of which windows are maintained and when to refresh, and applying a refresh."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

import pytest
from msgspec.structs import replace

from jangteo.core.best_sellers import (
    DEFAULT_DAYS,
    HEARTBEAT_TIMEOUT,
    MAX_BEST,
    MAX_DAYS,
    MAX_EXTRA_WINDOWS,
    MIN_CHANGES,
    RECORD_REQUESTS_EVERY,
    RETIRE_UNREQUESTED_AFTER,
    VIEW_ID,
    RefreshBestSellers,
    RefreshOutcome,
    is_worth_refreshing,
    rank,
    requests_to_record,
    sales_of,
    window_start,
    window_to_start,
    windows_to_retire,
)
from jangteo.core.book import Book, Needs
from jangteo.core.entities import Order, OrderItem, Refresh, Window, WindowState
from jangteo.core.orders import CancelOrder, PlaceOrder, RequestedItem
from tests.core.books import DAY, NOW, book

MICRO = timedelta(microseconds=1)
SIX = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6}
RANKED = [
    ({}, []),
    ({3: 1}, [(3, 1)]),
    ({3: 5, 2: 5, 9: 7}, [(9, 7), (2, 5), (3, 5)]),
    ({3: 0, 2: 1}, [(2, 1)]),
    (SIX, [(6, 6), (5, 5), (4, 4), (3, 3), (2, 2)]),
]


@pytest.mark.parametrize(("units", "best"), RANKED)
def test_ranks_best_first_ties_by_lower_id_five_by_default(units: dict[int, int], best: list[tuple[int, int]]) -> None:
    assert rank(units) == best


@pytest.mark.parametrize(
    ("limit", "best"), [(1, [6]), (2, [6, 5]), (6, [6, 5, 4, 3, 2, 1]), (MAX_BEST, [6, 5, 4, 3, 2, 1])]
)
def test_ranks_up_to_the_limit(limit: int, best: list[int]) -> None:
    assert [product for product, _ in rank(SIX, limit)] == best


def test_ties_at_the_limit_go_to_lower_ids() -> None:
    assert rank(dict.fromkeys(range(200, 0, -1), 3), MAX_BEST) == [(product, 3) for product in range(1, 101)]


def test_the_default_window_is_seventy_two_hours() -> None:
    assert window_start(NOW) == NOW - 3 * DAY


@pytest.mark.parametrize(("days", "hours"), [(1, 24), (3, 72), (7, 168), (MAX_DAYS, 720)])
def test_a_day_is_twenty_four_hours(days: int, hours: int) -> None:
    assert window_start(NOW, days) == NOW - timedelta(hours=hours)


WORTH = [
    (0, [], False),
    (0, [0, 0], False),
    (MIN_CHANGES - 1, [MIN_CHANGES - 1] * 5, False),
    (MIN_CHANGES, [], True),
    (0, [0, MIN_CHANGES], True),
]


@pytest.mark.parametrize(("deltas", "expired", "worth"), WORTH)
def test_a_refresh_is_worth_it_from_enough_deltas_or_expired_orders_of_one_window(
    deltas: int, expired: list[int], *, worth: bool
) -> None:
    assert is_worth_refreshing(deltas, expired) == worth


def window(days: int, state: WindowState = "active", window_id: int = 1, **others: datetime | None) -> Window:
    found = Window(window_id, days, NOW - days * DAY, state, NOW, NOW, NOW if state == "backfilling" else None)
    return replace(found, **others)


RETIRED = [
    ("requested now", window(7), False),
    ("requested just recently enough", window(7, requested_at=NOW - RETIRE_UNREQUESTED_AFTER), False),
    ("unrequested", window(7, requested_at=NOW - RETIRE_UNREQUESTED_AFTER - MICRO), True),
    ("the default one", window(DEFAULT_DAYS, requested_at=NOW - 99 * DAY), False),
    ("unrequested, but backfilling", window(7, "backfilling", requested_at=NOW - 99 * DAY), False),
    ("alive", window(7, "backfilling", heartbeat_at=NOW - HEARTBEAT_TIMEOUT), False),
    ("heartbeat lost", window(7, "backfilling", heartbeat_at=NOW - HEARTBEAT_TIMEOUT - MICRO), True),
    ("the default one, heartbeat lost", window(3, "backfilling", heartbeat_at=NOW - DAY), True),
    ("retired already", window(7, "retired", requested_at=NOW - 99 * DAY), False),
]


@pytest.mark.parametrize(("found", "retires"), [case[1:] for case in RETIRED], ids=[case[0] for case in RETIRED])
def test_unrequested_and_dead_windows_are_retired(found: Window, *, retires: bool) -> None:
    other = window(5, window_id=2)
    assert windows_to_retire([found, other], NOW) == ([found] if retires else [])


THREE = window(DEFAULT_DAYS)
FULL = [THREE, *(window(days, window_id=days) for days in range(10, 10 + MAX_EXTRA_WINDOWS))]
STARTED: list[tuple[str, list[Window], Iterable[int], int | None]] = [
    ("nothing requested, no window", [], (), DEFAULT_DAYS),
    ("nothing requested", [THREE], (), None),
    ("the default one is maintained", [THREE], {DEFAULT_DAYS}, None),
    ("the default one backfills", [window(DEFAULT_DAYS, "backfilling")], {DEFAULT_DAYS}, None),
    ("the default one is retired", [window(DEFAULT_DAYS, "retired")], (), DEFAULT_DAYS),
    ("one requested", [THREE], {7}, 7),
    ("the shortest first", [THREE], {30, 7, 14}, 7),
    ("one backfills already", [THREE, window(7, "backfilling", 2)], {7}, None),
    ("one was retired", [THREE, window(7, "retired", 2)], {7}, 7),
    ("the next one", [THREE, window(7, "backfilling", 2)], {7, 14}, 14),
    ("no room", FULL, {7}, None),
    ("room after a retirement", [*FULL[:-1], replace(FULL[-1], state="retired")], {7}, 7),
    ("the default one has room always", FULL[1:], {7}, DEFAULT_DAYS),
]


@pytest.mark.parametrize(
    ("windows", "requested", "days"), [case[1:] for case in STARTED], ids=[case[0] for case in STARTED]
)
def test_one_requested_window_is_started_while_there_is_room(
    windows: list[Window], requested: Iterable[int], days: int | None
) -> None:
    assert window_to_start(windows, requested) == days


OLD = NOW - RECORD_REQUESTS_EVERY - MICRO
RECORDED = [
    ("recorded just recently enough", window(7, requested_at=NOW - RECORD_REQUESTS_EVERY), {7}, False),
    ("recorded long ago", window(7, requested_at=OLD), {7}, True),
    ("backfilling", window(7, "backfilling", requested_at=OLD), {7}, True),
    ("retired", window(7, "retired", requested_at=OLD), {7}, False),
    ("not requested", window(7, requested_at=OLD), {5}, False),
    ("the default one", window(DEFAULT_DAYS, requested_at=OLD), {DEFAULT_DAYS}, False),
]


@pytest.mark.parametrize(
    ("found", "requested", "recorded"), [case[1:] for case in RECORDED], ids=[case[0] for case in RECORDED]
)
def test_requests_are_recorded_about_once_an_hour(found: Window, requested: set[int], *, recorded: bool) -> None:
    assert requests_to_record([found], requested, NOW) == ([found] if recorded else [])


def book_of_version(version: int) -> Book:
    shop = book()
    shop.view_version.fill([(VIEW_ID, version)])
    return shop


def test_a_refresh_needs_the_version() -> None:
    needs = Needs()
    RefreshBestSellers(0, Refresh()).name_needs(needs)
    assert needs.view_version


@pytest.mark.parametrize(
    ("version", "planned_from", "applied"), [(0, 0, True), (7, 7, True), (7, 6, False), (7, 8, False)]
)
def test_a_refresh_applies_only_to_the_version_it_was_planned_from(
    version: int, planned_from: int, *, applied: bool
) -> None:
    shop, refresh = book_of_version(version), Refresh(applied_deltas=(1, 2))
    assert RefreshBestSellers(planned_from, refresh).decide(shop) == RefreshOutcome(applied=applied)
    assert shop.refreshes == ([refresh] if applied else [])
    assert shop.view_version.replaced() == ([(version, version + 1)] if applied else [])


def test_of_two_refreshes_in_one_batch_the_first_applies() -> None:
    shop, first, second = book_of_version(3), Refresh(applied_deltas=(1,)), Refresh(applied_deltas=(1, 2))
    assert RefreshBestSellers(3, first).decide(shop) == RefreshOutcome(applied=True)
    assert RefreshBestSellers(3, second).decide(shop) == RefreshOutcome(applied=False)
    assert shop.refreshes == [first]
    assert shop.view_version.get(VIEW_ID) == 4


def test_without_a_version_no_refresh_applies() -> None:
    shop = book()
    assert RefreshBestSellers(0, Refresh(applied_deltas=(1,))).decide(shop) == RefreshOutcome(applied=False)
    assert shop.refreshes == []


YESTERDAY = NOW - DAY
OLD_ORDER = Order(7, 1, "paid", (OrderItem(1, 3, 10, 30), OrderItem(2, 1, 10, 10)), 40, 0, 40, None, YESTERDAY)


def shop_with_an_old_order() -> Book:
    return book(wallets={1: 1_000}, products={1: (10, 50), 2: (10, 50)}, orders=(OLD_ORDER,))


def sales(shop: Book) -> list[tuple[datetime, dict[int, int]]]:
    return [
        (ordered_at, {item.product_id: sign * item.quantity for item in order.items})
        for ordered_at, order, sign in sales_of(shop)
    ]


PLACED = PlaceOrder(1, (RequestedItem(1, 2), RequestedItem(1, 1), RequestedItem(2, 4)), None)


def test_an_order_is_sold_at_the_time_of_the_batch() -> None:
    shop = shop_with_an_old_order()
    PLACED.decide(shop)
    assert sales(shop) == [(NOW, {1: 3, 2: 4})]


def test_a_cancelled_order_is_given_back_at_the_time_it_was_placed() -> None:
    shop = shop_with_an_old_order()
    CancelOrder(7).decide(shop)
    assert sales(shop) == [(YESTERDAY, {1: -3, 2: -1})]


def test_an_order_placed_and_cancelled_in_one_batch_is_not_sold() -> None:
    shop = shop_with_an_old_order()
    placed = PLACED.decide(shop)
    assert isinstance(placed, Order)
    CancelOrder(placed.order_id).decide(shop)
    assert sales(shop) == []


def test_refused_commands_sell_and_give_back_nothing() -> None:
    shop = shop_with_an_old_order()
    PlaceOrder(1, (RequestedItem(1, 51),), None).decide(shop)
    CancelOrder(8).decide(shop)
    CancelOrder(7).decide(shop)
    CancelOrder(7).decide(shop)
    assert sales(shop) == [(YESTERDAY, {1: -3, 2: -1})]
