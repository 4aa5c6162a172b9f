"""Who comes first is remembered, as long as nothing has changed that it depends on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from jangteo.core.orders import CancelOrder
from jangteo.core.products import ChangeProduct, MoveStock
from jangteo.storage.best_sellers import query, refresh
from jangteo.storage.port import Row, Snapshot, Value
from tests.storage.refreshed import PRODUCTS, CountedShop, counted_shop
from tests.storage.shops import DAY, OPENED

NOW = OPENED + 40 * DAY
MICRO = timedelta(microseconds=1)
FAR = PRODUCTS[-1]


@pytest.fixture
def shop(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[CountedShop]:
    monkeypatch.setattr(refresh, "FEW", 0)
    with counted_shop(database) as shop:
        shop.buy((1, 3), (FAR, 1), at=NOW)
        yield shop


@pytest.fixture
def ranked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A number for each time that it is looked up who comes first."""
    times: list[int] = []
    rank: Callable[..., Any] = query._rank

    def counted(*arguments: Any) -> Any:
        times.append(len(times))
        return rank(*arguments)

    monkeypatch.setattr(query, "_rank", counted)
    return times


def test_it_is_looked_up_once_while_nothing_changes(shop: CountedShop, ranked: list[int]) -> None:
    for later in range(5):
        assert shop.agreed(NOW + later * MICRO, limits=(5,)) == [(1, 3), (FAR, 1)]
    assert len(ranked) == 1
    shop.agreed(NOW, limits=(4,))
    assert len(ranked) == 2, "of another limit"


def test_names_prices_and_stocks_are_of_the_moment_all_the_same(shop: CountedShop, ranked: list[int]) -> None:
    shop.agreed(NOW, limits=(5,))
    shop.do(ChangeProduct(1, "new rice", 7), MoveStock(1, -100), at=NOW)
    shop.agreed(NOW, limits=(5,))
    first = shop.look(query.read_best_sellers, 5, 3, at=NOW)
    assert first is not None
    assert (first.value[0].name, first.value[0].price, first.value[0].stock) == ("new rice", 7, 10_000 - 3 - 100)
    assert len(ranked) == 1


def sold(shop: CountedShop) -> None:
    shop.buy((2, 9), at=NOW)


def cancelled(shop: CountedShop) -> None:
    shop.do(CancelOrder(1), at=NOW)


def cancelled_and_sold(shop: CountedShop) -> None:
    shop.do(CancelOrder(1), at=NOW)
    shop.buy((2, 9), at=NOW)


def counted(shop: CountedShop) -> None:
    shop.step(NOW)


def counted_and_sold(shop: CountedShop) -> None:
    # As many notes as before.
    shop.step(NOW)
    shop.buy((2, 9), at=NOW)


@pytest.mark.parametrize("change", [sold, cancelled, cancelled_and_sold, counted, counted_and_sold])
def test_whatever_it_depends_on_has_it_looked_up_anew(
    shop: CountedShop, ranked: list[int], change: Callable[[CountedShop], None]
) -> None:
    shop.agreed(NOW, limits=(5,))
    change(shop)
    shop.agreed(NOW, limits=(5,))
    assert len(ranked) == 2


def test_what_leaves_and_what_a_clock_that_goes_back_returns_has_it_looked_up_anew(
    shop: CountedShop, ranked: list[int]
) -> None:
    shop.step(NOW)
    end = NOW + 3 * DAY
    for at, best in ((end - MICRO, [(1, 3), (FAR, 1)]), (end, []), (end - MICRO, [(1, 3), (FAR, 1)])):
        assert shop.agreed(at, limits=(5,)) == best
    assert len(ranked) == 3
    shop.buy((2, 1), at=end)
    shop.step(end)
    assert shop.agreed(end, limits=(5,)) == [(2, 1)]
    assert shop.agreed(end - MICRO, limits=(5,)) == [(1, 3), (2, 1), (FAR, 1)]
    assert shop.agreed(end, limits=(5,)) == [(2, 1)]


def test_one_cancelled_and_another_left_are_not_taken_for_the_same(shop: CountedShop) -> None:
    # As many have left as before, but they are others.
    shop.step(NOW)
    shop.buy((2, 5), at=NOW + MICRO)
    shop.step(NOW + MICRO)
    end = NOW + 3 * DAY
    assert shop.agreed(end) == [(2, 5)]
    shop.do(CancelOrder(1), at=end)
    assert shop.agreed(end + MICRO) == []


def test_only_so_many_answers_are_remembered(shop: CountedShop) -> None:
    for limit in range(1, 101):
        shop.look(query.read_best_sellers, limit, 3, at=NOW)
        shop.look(query.count_best_sellers, limit, limit % 30 + 1, at=NOW)

    def remembered(snapshot: Snapshot) -> int:
        return len(snapshot.memory)

    assert 0 < shop.look(remembered) <= query.REMEMBERED


def test_orders_are_counted_once_in_a_snapshot_whatever_the_limits(shop: CountedShop) -> None:
    def two_limits(snapshot: Snapshot) -> list[int]:
        times = 0
        rows = snapshot.rows

        def counted(sql: str, **values: Value) -> list[Row]:
            nonlocal times
            times += 1
            return rows(sql, **values)

        snapshot.rows = counted  # type: ignore[method-assign]
        found = [len(query.count_best_sellers(snapshot, limit, 3).value) for limit in (1, 2, 100)]
        return [times, *found]

    assert shop.look(two_limits, at=NOW) == [1, 1, 2, 2]
    shop.buy((2, 1), at=NOW)
    assert shop.look(two_limits, at=NOW) == [1, 1, 2, 3], "another snapshot of the same moment"
