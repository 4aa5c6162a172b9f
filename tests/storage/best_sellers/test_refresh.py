"""Refreshes move deltas into the buckets and take out what has left: at every time the view equals the orders."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from jangteo.core.best_sellers import MIN_CHANGES
from jangteo.storage.best_sellers import query, refresh, sold_units
from tests.storage.best_sellers.shop import BestSellersShop, best_sellers_shop, bought
from tests.storage.shops import DAY, OPENED

HOUR, SECOND, MICRO = timedelta(hours=1), timedelta(seconds=1), timedelta(microseconds=1)
NOW = OPENED + 40 * DAY
FAR = 2**52 + 1


@pytest.fixture
def shop(database: str) -> Iterator[BestSellersShop]:
    with best_sellers_shop(database) as shop:
        yield shop
        assert shop.wrong(NOW) == []


def waiting_deltas(shop: BestSellersShop) -> int:
    return len(shop.ids("sales_deltas"))


def test_few_deltas_are_not_worth_a_refresh(shop: BestSellersShop) -> None:
    for _ in range(MIN_CHANGES - 1):
        shop.buy((1, 2), (FAR, 1), at=NOW)
    assert shop.plan(NOW) is None
    assert shop.best(NOW) == [(1, 2 * MIN_CHANGES - 2), (FAR, MIN_CHANGES - 1)]
    shop.buy((1, 2), (FAR, 1), at=NOW)
    assert len(shop.refresh(NOW).refresh.applied_deltas) == MIN_CHANGES
    assert waiting_deltas(shop) == 0
    assert shop.best(NOW) == [(1, 2 * MIN_CHANGES), (FAR, MIN_CHANGES)]
    assert shop.plan(NOW) is None


@pytest.mark.parametrize(("orders", "worth"), [(MIN_CHANGES - 1, False), (MIN_CHANGES, True)])
def test_few_expired_orders_are_not_worth_a_refresh(shop: BestSellersShop, orders: int, *, worth: bool) -> None:
    shop.do(*[bought((2, 1))] * orders, at=NOW)
    later = NOW + 3 * DAY
    assert shop.plan(later - MICRO) is None
    assert (shop.plan(later) is not None) == worth
    assert shop.best(later) == []


def test_orders_that_left_before_the_refresh_are_in_no_bucket(shop: BestSellersShop) -> None:
    shop.do(*[bought((2, 1))] * MIN_CHANGES, at=NOW)
    shop.refresh(NOW + 3 * DAY)
    assert (waiting_deltas(shop), shop.ids("best_seller_buckets")) == (0, [])


def test_a_full_refresh_says_that_there_is_more(
    shop: BestSellersShop, eager: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refresh, "DELTAS_PER_REFRESH", 3)
    for number in range(7):
        shop.buy((1, 1), (FAR, 1), at=NOW + number * HOUR)
    at, left = NOW + 7 * HOUR, []
    for has_more in (True, True, False):
        planned = shop.plan(at)
        assert planned is not None
        assert planned.has_more == has_more
        assert shop.is_applied(planned.command, at)
        left.append(waiting_deltas(shop))
        assert shop.best(at) == [(1, 7), (FAR, 7)]
    assert left == [4, 1, 0]
    monkeypatch.setattr(sold_units, "ORDERS_PER_CHUNK", 3)
    after, rounds = NOW + 5 * DAY, []
    for _ in range(3):
        planned = shop.plan(after)
        assert planned is not None
        assert shop.is_applied(planned.command, after)
        rounds.append(planned.has_more)
        assert shop.best(after) == []
        assert shop.best(NOW + 3 * DAY + HOUR) == [(1, 5), (FAR, 5)]
    assert rounds == [True, True, False]
    assert shop.ids("best_seller_buckets") == []


def test_orders_are_taken_out_only_with_all_deltas_at_hand(
    shop: BestSellersShop, eager: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No refresh for three days; and the last deltas say that some of it was cancelled.
    monkeypatch.setattr(refresh, "DELTAS_PER_REFRESH", 2)
    orders = [shop.buy((1, 3), at=NOW + number * SECOND) for number in range(4)]
    shop.cancel(*orders[:2], at=NOW + HOUR)
    later = NOW + 3 * DAY + 2 * SECOND
    while waiting_deltas(shop):
        shop.refresh(later)
        assert shop.best(later) == [(1, 3)]
        assert shop.best(later + 9 * SECOND) == []
    shop.buy((1, 1), at=later)
    assert shop.best(later + 9 * SECOND) == [(1, 1)]
    assert shop.wrong(later) == []


def test_orders_of_one_microsecond_leave_together(
    shop: BestSellersShop, eager: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sold_units, "ORDERS_PER_CHUNK", 2)
    shop.buy((1, 1), at=NOW - MICRO)
    shop.do(*[bought((2, 1), (FAR, 2))] * 5, at=NOW)
    shop.buy((1, 1), at=NOW + MICRO)
    later = NOW + 3 * DAY + MICRO
    for _ in range(4):
        assert shop.best(later - 2 * MICRO) == [(FAR, 10), (2, 5), (1, 1)]
        assert shop.best(later - MICRO) == [(1, 1)]
        assert shop.best(later) == []
        shop.refresh_if_worth_it(later)
        assert shop.wrong(later) == []


@pytest.mark.parametrize("offset", [-1, 0, 1])
@pytest.mark.parametrize("days", [1, 3])
def test_an_order_leaves_after_its_last_microsecond(shop: BestSellersShop, eager: None, offset: int, days: int) -> None:
    # Whether it is refreshed a microsecond before the order leaves, when it does, or after that makes no difference.
    if days != 3:
        shop.add_window(NOW, days)
    shop.buy((1, 2), (FAR, 1), at=NOW)
    cancelled = shop.buy((2, 2), (FAR, 5), at=NOW)
    end = NOW + days * DAY
    # It was requested within the last day.
    shop.refresh(end - HOUR, days)

    def leaves() -> None:
        assert shop.best(end - MICRO, days)[-2:] == [(1, 2), (FAR, 1)]
        assert shop.best(end, days) == []
        assert shop.best(end + MICRO, days) == []

    assert shop.best(end - MICRO, days) == [(FAR, 6), (1, 2), (2, 2)]
    shop.refresh(end + offset * MICRO)
    assert shop.best(end - MICRO, days) == [(FAR, 6), (1, 2), (2, 2)]
    shop.cancel(cancelled, at=end)
    leaves()
    shop.refresh(end + offset * MICRO)
    leaves()


def test_a_clock_that_goes_back_brings_back_what_has_left(shop: BestSellersShop, eager: None) -> None:
    orders = [shop.buy((product, 3), at=NOW + product * HOUR) for product in (1, 2)]
    shop.refresh(NOW + 9 * DAY)
    assert shop.best(NOW + 9 * DAY) == []
    for back in (NOW + 3 * DAY, NOW + 2 * HOUR):
        assert shop.best(back) == [(1, 3), (2, 3)]
    # Orders placed and cancelled while the clock is behind count as well.
    shop.buy((FAR, 4), at=NOW + 3 * HOUR)
    shop.cancel(orders[0], at=NOW + 3 * HOUR)
    for _ in range(2):
        assert shop.best(NOW + 3 * HOUR) == [(FAR, 4), (2, 3)]
        assert shop.best(NOW + 9 * DAY) == []
        shop.refresh_if_worth_it(NOW + 3 * HOUR)


def test_a_refresh_of_an_older_version_changes_nothing(shop: BestSellersShop, eager: None) -> None:
    shop.buy((1, 3), at=NOW)
    early = shop.plan(NOW)
    assert early is not None
    shop.refresh(NOW)
    tables = ("sales_deltas", "best_seller_windows", "best_seller_buckets", "best_seller_version")
    before = [shop.rows(f"SELECT * FROM {table}") for table in tables]
    assert not shop.is_applied(early.command, at=NOW)
    assert [shop.rows(f"SELECT * FROM {table}") for table in tables] == before
    assert shop.best(NOW) == [(1, 3)]


def test_deltas_written_after_the_planning_stay_deltas(shop: BestSellersShop, eager: None) -> None:
    order = shop.buy((1, 3), (2, 1), at=NOW)
    leaving = shop.plan(NOW + 3 * DAY)
    assert leaving is not None
    # Cancelled just as it leaves the window: it is subtracted once.
    shop.cancel(order, at=NOW + 3 * DAY)
    shop.buy((2, 2), at=NOW + DAY)
    assert shop.is_applied(leaving.command, at=NOW + 3 * DAY)
    assert waiting_deltas(shop) == 2
    for _ in range(2):
        assert shop.best(NOW + 3 * DAY) == [(2, 2)]
        assert shop.wrong(NOW + 3 * DAY) == []
        shop.refresh_if_worth_it(NOW + 3 * DAY)


CHANGES = [(1, True), (2, True), (3, False), (4, False)]


@pytest.mark.parametrize(("orders", "answered"), CHANGES)
def test_the_view_does_not_answer_with_too_many_changes_to_add_up(
    shop: BestSellersShop, eager: None, monkeypatch: pytest.MonkeyPatch, orders: int, *, answered: bool
) -> None:
    monkeypatch.setattr(query, "MAX_CHANGES", 3)
    for _ in range(orders):
        # The limit is on orders, not on their items.
        shop.buy((1, 1), (2, 1), (FAR, 1), at=NOW)
    assert shop.view_answers(NOW, 3) == answered
    shop.refresh(NOW)
    assert shop.view_answers(NOW, 3)
    end = NOW + 3 * DAY
    assert shop.view_answers(end, 3) == answered
    shop.refresh(end)
    assert shop.view_answers(end, 3)
    assert shop.view_answers(end - MICRO, 3) == answered
    assert shop.wrong(end - MICRO) == []
