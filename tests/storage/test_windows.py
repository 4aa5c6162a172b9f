"""Windows of the best sellers come and go: begun when somebody asks, kept once they are built, let go of in the end."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from jangteo.storage.best_sellers import refresh
from jangteo.storage.best_sellers.refresh import (
    FEW,
    HEARD_WITHIN,
    KEPT_MOST,
    KEPT_UNASKED,
    WindowGone,
    count_window,
    plan_building,
    plan_finish,
)
from tests.storage.refreshed import PRODUCTS, CountedShop, counted_shop
from tests.storage.shops import DAY, OPENED

HOUR, SECOND, MICRO = timedelta(hours=1), timedelta(seconds=1), timedelta(microseconds=1)
NOW = OPENED + 40 * DAY
FAR = PRODUCTS[-1]
THREE_DAYS = (1, 3, "active")


@pytest.fixture
def shop(database: str) -> Iterator[CountedShop]:
    with counted_shop(database) as shop:
        yield shop
        assert shop.wrong(NOW) == []


def test_a_window_is_begun_when_somebody_asks_and_kept_once_it_is_built(shop: CountedShop) -> None:
    shop.buy((1, 3), (FAR, 1), at=NOW - 6 * DAY)
    assert shop.plan(NOW) is None
    window = shop.begin(NOW, 7)
    assert (window.days, window.since, window.state) == (7, NOW - 7 * DAY, "backfilling")
    assert not shop.is_kept(NOW, 7)
    assert shop.plan(NOW, 7) is None, "it is begun once"
    shop.finish(window, shop.lacking(window, NOW), NOW)
    assert shop.is_kept(NOW, 7)
    assert shop.agreed(NOW, 7) == [(1, 3), (FAR, 1)]
    assert shop.states() == [THREE_DAYS, (2, 7, "active")]


def test_what_happens_while_a_window_is_built_is_counted_once(
    shop: CountedShop, always: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refresh, "ORDERS_AT_ONCE", 2)
    old = NOW - 7 * DAY
    orders = [shop.buy((product, 3), (FAR, 1), at=old + number * SECOND) for number, product in enumerate(PRODUCTS)]
    window = shop.begin(NOW, 7)
    shop.buy((1, 5), at=NOW)
    shop.cancel(orders[1], at=NOW)
    shop.count(NOW + SECOND)
    # Noted, not counted yet, when it is looked at what the window lacks.
    shop.buy((2, 4), at=NOW + SECOND)
    shop.cancel(orders[2], at=NOW + SECOND)
    lacking = shop.lacking(window, NOW + SECOND)
    shop.cancel(orders[3], at=NOW + SECOND)
    shop.buy((FAR, 4), at=NOW + 2 * SECOND)
    shop.count(NOW + 4 * SECOND)
    shop.count(NOW + 4 * SECOND)
    shop.cancel(orders[5], at=NOW + 4 * SECOND)
    shop.finish(window, lacking, NOW + 4 * SECOND)
    for later in (4 * SECOND, 5 * SECOND, 6 * SECOND, 9 * SECOND):
        assert shop.is_kept(NOW + later, 7)
        shop.agreed(NOW + later, 7)
        assert shop.wrong(NOW + later) == []
        shop.count(NOW + later)
    assert shop.agreed(NOW + 9 * SECOND, 7) == [(1, 5), (2, 4), (FAR, 4)]


def test_how_far_it_is_built_is_told_and_the_telling_may_end_it(
    shop: CountedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refresh, "ORDERS_AT_ONCE", 2)
    for number in range(6):
        shop.buy((1, 1), at=NOW - number * DAY)
    window, told = shop.begin(NOW, 7), list[float]()
    assert shop.look(count_window, window, told.append, at=NOW) == {1: 6}
    assert told == sorted(told)
    assert (len(told), told[-1]) == (4, 1)
    assert all(0 < part <= 1 for part in told)

    def end(_: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shop.look(count_window, window, end, at=NOW)


def test_a_window_whose_builder_is_gone_is_begun_anew(shop: CountedShop) -> None:
    shop.buy((1, 3), at=NOW - 6 * DAY)
    lost = shop.begin(NOW, 7)
    lacking = shop.lacking(lost, NOW)
    assert shop.plan(NOW + HEARD_WITHIN, 7) is None
    late = NOW + HEARD_WITHIN + MICRO
    window = shop.begin(late, 7)
    assert shop.states() == [THREE_DAYS, (2, 7, "retired"), (3, 7, "backfilling")]
    with pytest.raises(WindowGone):
        shop.lacking(lost, late)
    with pytest.raises(WindowGone):
        shop.look(plan_finish, lost, lacking, at=late)
    shop.finish(window, shop.lacking(window, late), late)
    assert shop.is_kept(late, 7)
    assert shop.agreed(late, 7) == [(1, 3)]
    shop.step(late)
    assert shop.states() == [THREE_DAYS, (3, 7, "active")]


def test_a_builder_who_comes_back_does_not_finish_another_window_with_the_same_id(shop: CountedShop) -> None:
    shop.buy((1, 3), at=NOW - 6 * DAY)
    lost = shop.begin(NOW, 7)
    lacking = shop.lacking(lost, NOW)
    late = NOW + HEARD_WITHIN + MICRO
    shop.step(late)
    shop.step(late)
    window = shop.begin(late, 5)
    assert window.window_id == lost.window_id
    with pytest.raises(WindowGone):
        shop.lacking(lost, late)
    with pytest.raises(WindowGone):
        shop.look(plan_finish, lost, lacking, at=late)
    shop.finish(window, shop.lacking(window, late), late)
    assert shop.is_kept(late, 5)
    assert shop.agreed(late, 5) == []


def test_a_finish_that_comes_too_late_is_planned_anew(shop: CountedShop, always: None) -> None:
    shop.buy((1, 3), at=NOW - 6 * DAY)
    window = shop.begin(NOW, 7)
    lacking = shop.lacking(window, NOW)
    early = shop.look(plan_finish, window, lacking, at=NOW)
    assert early is not None
    shop.buy((1, 1), at=NOW)
    shop.step(NOW)
    assert not shop.is_done(early, NOW)
    assert not shop.is_kept(NOW, 7)
    shop.finish(window, lacking, NOW)
    assert shop.is_kept(NOW, 7)
    assert shop.agreed(NOW, 7) == [(1, 4)]


def test_what_nobody_asks_for_in_a_day_is_let_go_and_removed_in_bites(
    shop: CountedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.buy(*[(product, 1) for product in PRODUCTS], at=NOW)
    shop.keep(NOW, 7)
    shop.keep(NOW, 5)
    monkeypatch.setattr(refresh, "FEW", 0)
    end = NOW + KEPT_UNASKED
    shop.step(end)
    monkeypatch.setattr(refresh, "FEW", FEW)
    assert shop.states() == [THREE_DAYS, (2, 7, "active"), (3, 5, "active")]
    # One of them is asked for again.
    shop.step(end, 5)
    monkeypatch.setattr(refresh, "PAGES_AT_ONCE", 2)
    pages, more = len(shop.ids("best_seller_buckets")), list[bool]()
    shop.step(end + MICRO)
    assert shop.states() == [THREE_DAYS, (2, 7, "retired"), (3, 5, "active")]
    assert not shop.is_kept(end + MICRO, 7)
    while (planned := shop.plan(end + MICRO)) is not None:
        assert shop.is_done(planned.command, end + MICRO)
        more.append(planned.more)
    assert more == [True, True, False], "four pages"
    assert len(shop.ids("best_seller_buckets")) == pages * 2 // 3
    assert shop.states() == [THREE_DAYS, (3, 5, "active")]
    assert shop.is_kept(end + MICRO, 5)
    assert shop.agreed(end + MICRO, 5) == shop.agreed(end + MICRO, 3)


def test_the_window_of_three_days_is_kept_whether_anybody_asks_or_not(shop: CountedShop) -> None:
    assert shop.plan(NOW + 30 * DAY) is None
    assert shop.is_kept(NOW + 30 * DAY, 3)


def test_that_a_window_is_asked_for_is_noted_once_an_hour(shop: CountedShop) -> None:
    shop.keep(NOW, 7)
    assert shop.plan(NOW + HOUR, 7) is None
    shop.step(NOW + HOUR + MICRO, 7)
    assert shop.plan(NOW + HOUR + 2 * MICRO, 7) is None


def test_as_many_windows_as_are_kept_and_no_more(shop: CountedShop) -> None:
    for days in range(10, 10 + KEPT_MOST):
        shop.keep(NOW, days)
    assert shop.plan(NOW, 20) is None
    # One at a time; whoever asks again has the next.
    assert len(shop.states()) == 1 + KEPT_MOST


def test_of_several_that_are_asked_for_one_is_begun_at_a_time(shop: CountedShop) -> None:
    for days in (5, 7, 30):
        assert [window.days for window in shop.step(NOW, 5, 7, 30).step.new_windows] == [days]


def test_a_window_is_built_anew_while_it_is_kept(shop: CountedShop, always: None) -> None:
    shop.buy((1, 3), (FAR, 2), at=NOW - DAY)
    shop.step(NOW)
    # Something has gone wrong with it.
    shop.change("UPDATE best_seller_buckets SET sold = '[0,9]', best = 9 WHERE window_id = 1 AND best = 3")
    assert shop.wrong(NOW) != []
    begun = shop.look(plan_building, 3, at=NOW)
    assert shop.is_done(begun, NOW)
    (window,) = begun.step.new_windows
    shop.buy((1, 1), at=NOW)
    assert shop.is_kept(NOW, 3)
    lacking = shop.lacking(window, NOW)
    shop.step(NOW)
    shop.finish(window, lacking, NOW)
    assert shop.agreed(NOW) == [(1, 4), (FAR, 2)]
    assert shop.states() == [(1, 3, "retired"), (2, 3, "active")]
    assert shop.wrong(NOW) == []
    shop.step(NOW)
    assert shop.states() == [(2, 3, "active")]
    assert len(shop.ids("best_seller_buckets")) == 2
