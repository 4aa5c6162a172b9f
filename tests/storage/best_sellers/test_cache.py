"""The ranking is cached as long as nothing has changed that it depends on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest

from jangteo.core.orders import CancelOrder
from jangteo.core.products import ChangeProduct, MoveStock
from jangteo.storage.best_sellers import query
from jangteo.storage.best_sellers.query import BestSellersView
from jangteo.storage.urls import open_storage
from tests.storage.best_sellers.shop import PRODUCTS, BestSellersShop, best_sellers_shop
from tests.storage.shops import DAY, OPENED

NOW = OPENED + 40 * DAY
MICRO = timedelta(microseconds=1)
FAR = PRODUCTS[-1]


@pytest.fixture
def shop(database: str, eager: None) -> Iterator[BestSellersShop]:
    with best_sellers_shop(database) as shop:
        shop.buy((1, 3), (FAR, 1), at=NOW)
        yield shop


@pytest.fixture
def ranked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """An item for each time that a ranking is made."""
    times: list[int] = []
    rank: Callable[..., Any] = query._rank

    def counted(*arguments: Any) -> Any:
        times.append(len(times))
        return rank(*arguments)

    monkeypatch.setattr(query, "_rank", counted)
    return times


def test_a_ranking_is_made_once_while_nothing_changes(shop: BestSellersShop, ranked: list[int]) -> None:
    for later in range(5):
        assert shop.best(NOW + later * MICRO, limits=(5,)) == [(1, 3), (FAR, 1)]
    assert len(ranked) == 1
    shop.best(NOW, limits=(4,))
    assert len(ranked) == 2, "another limit is another ranking"


def test_names_prices_and_stocks_are_read_each_time(shop: BestSellersShop, ranked: list[int]) -> None:
    shop.best(NOW, limits=(5,))
    shop.do(ChangeProduct(1, "new rice", 7), MoveStock(1, -100), at=NOW)
    shop.best(NOW, limits=(5,))
    first = shop.look(shop.view.read, 5, 3, at=NOW)
    assert first is not None
    assert (first.value[0].name, first.value[0].price, first.value[0].stock) == ("new rice", 7, 10_000 - 3 - 100)
    assert len(ranked) == 1


def sold(shop: BestSellersShop) -> None:
    shop.buy((2, 9), at=NOW)


def cancelled(shop: BestSellersShop) -> None:
    shop.do(CancelOrder(1), at=NOW)


def cancelled_and_sold(shop: BestSellersShop) -> None:
    shop.do(CancelOrder(1), at=NOW)
    shop.buy((2, 9), at=NOW)


def refreshed(shop: BestSellersShop) -> None:
    shop.refresh(NOW)


def refreshed_and_sold(shop: BestSellersShop) -> None:
    # As many deltas as before.
    shop.refresh(NOW)
    shop.buy((2, 9), at=NOW)


@pytest.mark.parametrize("change", [sold, cancelled, cancelled_and_sold, refreshed, refreshed_and_sold])
def test_a_change_it_depends_on_makes_a_new_ranking(
    shop: BestSellersShop, ranked: list[int], change: Callable[[BestSellersShop], None]
) -> None:
    shop.best(NOW, limits=(5,))
    change(shop)
    shop.best(NOW, limits=(5,))
    assert len(ranked) == 2


def test_orders_that_leave_or_return_make_a_new_ranking(shop: BestSellersShop, ranked: list[int]) -> None:
    shop.refresh(NOW)
    end = NOW + 3 * DAY
    for at, best in ((end - MICRO, [(1, 3), (FAR, 1)]), (end, []), (end - MICRO, [(1, 3), (FAR, 1)])):
        assert shop.best(at, limits=(5,)) == best
    assert len(ranked) == 3
    shop.buy((2, 1), at=end)
    shop.refresh(end)
    assert shop.best(end, limits=(5,)) == [(2, 1)]
    assert shop.best(end - MICRO, limits=(5,)) == [(1, 3), (2, 1), (FAR, 1)]
    assert shop.best(end, limits=(5,)) == [(2, 1)]


def test_as_many_other_orders_that_left_make_a_new_ranking(shop: BestSellersShop) -> None:
    # As many have left as before, but they are others.
    shop.refresh(NOW)
    shop.buy((2, 5), at=NOW + MICRO)
    shop.refresh(NOW + MICRO)
    end = NOW + 3 * DAY
    assert shop.best(end) == [(2, 5)]
    shop.do(CancelOrder(1), at=end)
    assert shop.best(end + MICRO) == []


def test_the_cache_is_bounded(shop: BestSellersShop) -> None:
    for limit in range(1, 101):
        shop.look(shop.view.read, limit, 3, at=NOW)
        assert 0 < len(shop.view._cache) <= query.CACHED_RANKINGS


def test_a_new_connection_shares_no_ranking(shop: BestSellersShop, ranked: list[int]) -> None:
    view, ids = BestSellersView(), set()
    for _ in range(2):
        with closing(open_storage(shop.database).connect()) as connection:
            for _ in range(2):
                with connection.snapshot(NOW) as snapshot:
                    assert view.read(snapshot, 5, 3) is not None
                    ids.add(snapshot.connection_id)
    assert (len(ranked), len(ids)) == (2, 2)


def test_a_reopened_connection_has_a_new_id(shop: BestSellersShop) -> None:
    with closing(open_storage(shop.database).connect()) as connection:
        ids = []
        for _ in range(2):
            with connection.snapshot(NOW) as snapshot:
                ids.append(snapshot.connection_id)
            connection.close()
    assert ids[0] < ids[1]


def test_threads_may_share_a_view(shop: BestSellersShop) -> None:
    view = BestSellersView()

    def read(_: int) -> list[tuple[int, int]]:
        with closing(open_storage(shop.database).connect()) as connection:
            for limit in range(1, 41):
                with connection.snapshot(NOW) as snapshot:
                    found = view.read(snapshot, limit, 3)
        assert found is not None
        return [(each.id, each.sold) for each in found.value]

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(read, range(4))) == [[(1, 3), (FAR, 1)]] * 4
    assert len(view._cache) <= query.CACHED_RANKINGS
