"""What is counted of a window, step by step: at every moment it says what the orders say."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from jangteo.storage.best_sellers import query, refresh
from jangteo.storage.best_sellers.refresh import FEW
from tests.storage.refreshed import CountedShop, bought, counted_shop
from tests.storage.shops import DAY, OPENED

HOUR, SECOND, MICRO = timedelta(hours=1), timedelta(seconds=1), timedelta(microseconds=1)
NOW = OPENED + 40 * DAY
FAR = 2**52 + 1


@pytest.fixture
def shop(database: str) -> Iterator[CountedShop]:
    with counted_shop(database) as shop:
        yield shop
        assert shop.wrong(NOW) == []


def uncounted(shop: CountedShop) -> int:
    return len(shop.ids("sales_deltas"))


def test_few_notes_are_not_worth_a_step(shop: CountedShop) -> None:
    for _ in range(FEW - 1):
        shop.buy((1, 2), (FAR, 1), at=NOW)
    assert shop.plan(NOW) is None
    assert shop.agreed(NOW) == [(1, 2 * FEW - 2), (FAR, FEW - 1)]
    shop.buy((1, 2), (FAR, 1), at=NOW)
    assert len(shop.step(NOW).step.counted) == FEW
    assert uncounted(shop) == 0
    assert shop.agreed(NOW) == [(1, 2 * FEW), (FAR, FEW)]
    assert shop.plan(NOW) is None


@pytest.mark.parametrize(("orders", "worth"), [(FEW - 1, False), (FEW, True)])
def test_few_orders_that_have_left_are_not_worth_a_step(shop: CountedShop, orders: int, *, worth: bool) -> None:
    shop.do(*[bought((2, 1))] * orders, at=NOW)
    later = NOW + 3 * DAY
    assert shop.plan(later - MICRO) is None
    assert (shop.plan(later) is not None) == worth
    assert shop.agreed(later) == []


def test_what_left_before_it_was_counted_is_on_no_page(shop: CountedShop) -> None:
    shop.do(*[bought((2, 1))] * FEW, at=NOW)
    shop.step(NOW + 3 * DAY)
    assert (uncounted(shop), shop.ids("best_seller_buckets")) == (0, [])


def test_a_step_that_is_full_says_that_there_is_more(
    shop: CountedShop, always: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refresh, "NOTES_AT_ONCE", 3)
    for number in range(7):
        shop.buy((1, 1), (FAR, 1), at=NOW + number * HOUR)
    at, left = NOW + 7 * HOUR, []
    for more in (True, True, False):
        planned = shop.plan(at)
        assert planned is not None
        assert planned.more == more
        assert shop.is_done(planned.command, at)
        left.append(uncounted(shop))
        assert shop.agreed(at) == [(1, 7), (FAR, 7)]
    assert left == [4, 1, 0]
    monkeypatch.setattr(refresh, "ORDERS_AT_ONCE", 3)
    after, rounds = NOW + 5 * DAY, []
    for _ in range(3):
        planned = shop.plan(after)
        assert planned is not None
        assert shop.is_done(planned.command, after)
        rounds.append(planned.more)
        assert shop.agreed(after) == []
        assert shop.agreed(NOW + 3 * DAY + HOUR) == [(1, 5), (FAR, 5)]
    assert rounds == [True, True, False]
    assert shop.ids("best_seller_buckets") == []


def test_orders_may_leave_while_more_of_them_is_noted_than_a_step_counts(
    shop: CountedShop, always: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nobody has counted for three days; and the last notes are that some of it was given back.
    monkeypatch.setattr(refresh, "NOTES_AT_ONCE", 2)
    orders = [shop.buy((1, 3), at=NOW + number * SECOND) for number in range(4)]
    shop.cancel(*orders[:2], at=NOW + HOUR)
    later = NOW + 3 * DAY + 2 * SECOND
    while uncounted(shop):
        shop.step(later)
        assert shop.agreed(later) == [(1, 3)]
        assert shop.agreed(later + 9 * SECOND) == []
    shop.buy((1, 1), at=later)
    assert shop.agreed(later + 9 * SECOND) == [(1, 1)]
    assert shop.wrong(later) == []


def test_orders_of_one_microsecond_leave_together(
    shop: CountedShop, always: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refresh, "ORDERS_AT_ONCE", 2)
    shop.buy((1, 1), at=NOW - MICRO)
    shop.do(*[bought((2, 1), (FAR, 2))] * 5, at=NOW)
    shop.buy((1, 1), at=NOW + MICRO)
    later = NOW + 3 * DAY + MICRO
    for _ in range(4):
        assert shop.agreed(later - 2 * MICRO) == [(FAR, 10), (2, 5), (1, 1)]
        assert shop.agreed(later - MICRO) == [(1, 1)]
        assert shop.agreed(later) == []
        shop.count(later)
        assert shop.wrong(later) == []


@pytest.mark.parametrize("step", [-1, 0, 1])
@pytest.mark.parametrize("days", [1, 3])
def test_an_order_leaves_after_its_last_microsecond(shop: CountedShop, always: None, step: int, days: int) -> None:
    # Counted a microsecond before it leaves, when it does, or after that: it makes no difference.
    if days != 3:
        shop.keep(NOW, days)
    shop.buy((1, 2), (FAR, 1), at=NOW)
    cancelled = shop.buy((2, 2), (FAR, 5), at=NOW)
    end = NOW + days * DAY
    # Somebody has asked for it within the last day.
    shop.step(end - HOUR, days)

    def leaves() -> None:
        assert shop.agreed(end - MICRO, days)[-2:] == [(1, 2), (FAR, 1)]
        assert shop.agreed(end, days) == []
        assert shop.agreed(end + MICRO, days) == []

    assert shop.agreed(end - MICRO, days) == [(FAR, 6), (1, 2), (2, 2)]
    shop.step(end + step * MICRO)
    assert shop.agreed(end - MICRO, days) == [(FAR, 6), (1, 2), (2, 2)]
    shop.cancel(cancelled, at=end)
    leaves()
    shop.step(end + step * MICRO)
    leaves()


def test_a_clock_that_goes_back_brings_back_what_has_left(shop: CountedShop, always: None) -> None:
    orders = [shop.buy((product, 3), at=NOW + product * HOUR) for product in (1, 2)]
    shop.step(NOW + 9 * DAY)
    assert shop.agreed(NOW + 9 * DAY) == []
    for back in (NOW + 3 * DAY, NOW + 2 * HOUR):
        assert shop.agreed(back) == [(1, 3), (2, 3)]
    # What is sold and given back while it is behind is counted as well.
    shop.buy((FAR, 4), at=NOW + 3 * HOUR)
    shop.cancel(orders[0], at=NOW + 3 * HOUR)
    for _ in range(2):
        assert shop.agreed(NOW + 3 * HOUR) == [(FAR, 4), (2, 3)]
        assert shop.agreed(NOW + 9 * DAY) == []
        shop.count(NOW + 3 * HOUR)


def test_a_step_that_comes_too_late_changes_nothing(shop: CountedShop, always: None) -> None:
    shop.buy((1, 3), at=NOW)
    early = shop.plan(NOW)
    assert early is not None
    shop.step(NOW)
    tables = ("sales_deltas", "best_seller_windows", "best_seller_buckets", "best_seller_version")
    before = [shop.rows(f"SELECT * FROM {table}") for table in tables]
    assert not shop.is_done(early.command, at=NOW)
    assert [shop.rows(f"SELECT * FROM {table}") for table in tables] == before
    assert shop.agreed(NOW) == [(1, 3)]


def test_what_is_noted_after_a_step_was_planned_stays_noted(shop: CountedShop, always: None) -> None:
    order = shop.buy((1, 3), (2, 1), at=NOW)
    leaving = shop.plan(NOW + 3 * DAY)
    assert leaving is not None
    # Cancelled just as it leaves the window: it is taken out once.
    shop.cancel(order, at=NOW + 3 * DAY)
    shop.buy((2, 2), at=NOW + DAY)
    assert shop.is_done(leaving.command, at=NOW + 3 * DAY)
    assert uncounted(shop) == 2
    for _ in range(2):
        assert shop.agreed(NOW + 3 * DAY) == [(2, 2)]
        assert shop.wrong(NOW + 3 * DAY) == []
        shop.count(NOW + 3 * DAY)


MANY_ORDERS = [(1, True), (2, True), (3, False), (4, False)]


@pytest.mark.parametrize(("orders", "answered"), MANY_ORDERS)
def test_more_than_a_reader_adds_up_is_not_answered(
    shop: CountedShop, always: None, monkeypatch: pytest.MonkeyPatch, orders: int, *, answered: bool
) -> None:
    monkeypatch.setattr(query, "MANY", 3)
    for _ in range(orders):
        # It is the orders that are many, not their lines.
        shop.buy((1, 1), (2, 1), (FAR, 1), at=NOW)
    assert shop.is_kept(NOW, 3) == answered
    shop.step(NOW)
    assert shop.is_kept(NOW, 3)
    end = NOW + 3 * DAY
    assert shop.is_kept(end, 3) == answered
    shop.step(end)
    assert shop.is_kept(end, 3)
    assert shop.is_kept(end - MICRO, 3) == answered
    assert shop.wrong(end - MICRO) == []
