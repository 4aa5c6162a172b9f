"""The audit names every kind of damage to the view, in a shop that was right before."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from jangteo.storage.best_sellers.buckets import PRODUCTS_PER_BUCKET
from tests.storage.best_sellers.shop import BestSellersShop, best_sellers_shop
from tests.storage.shops import DAY, OPENED

NOW = OPENED + 10 * DAY
TWELVE_BUCKETS = range(PRODUCTS_PER_BUCKET, 13 * PRODUCTS_PER_BUCKET, PRODUCTS_PER_BUCKET)


@pytest.fixture
def shop(database: str, eager: None) -> Iterator[BestSellersShop]:
    """Some of its sales have left, some are in buckets, some are deltas; another window is active too."""
    with best_sellers_shop(database) as shop:
        shop.buy((1, 2), at=NOW - 4 * DAY)
        cancelled = shop.buy((1, 5), (2, 1), at=NOW - DAY)
        shop.buy((1, 7), (PRODUCTS_PER_BUCKET, 3), at=NOW - DAY)
        shop.add_window(NOW, 7)
        shop.cancel(cancelled, at=NOW)
        shop.buy((2, 2), at=NOW)
        assert shop.wrong(NOW) == []
        yield shop


BUCKET = "window_id = 1 AND max_units = 12"
WINDOW = "SELECT 9, days, since, 'active', started_at, requested_at FROM best_seller_windows WHERE id = 2"
DAMAGE: list[tuple[str, str, list[str]]] = [
    (
        "a bucket says too much",
        f"UPDATE best_seller_buckets SET units = '[0,12,2]' WHERE {BUCKET}",
        ["window of 3 day(s), product 2: 2 in its bucket and 1 in deltas, sold 2", "answered"],
    ),
    (
        "a bucket is gone",
        f"DELETE FROM best_seller_buckets WHERE {BUCKET}",
        [
            "window of 3 day(s), product 1: 0 in its bucket and -5 in deltas, sold 7",
            "window of 3 day(s), product 2: 0 in its bucket and 1 in deltas, sold 2",
            "answered",
        ],
    ),
    (
        "a delta is gone",
        "DELETE FROM sales_deltas WHERE units = '[2,2]'",
        ["window of 3 day(s), product 2: 1 in its bucket and -1 in deltas, sold 2", "answered"] * 2,
    ),
    (
        "a delta is there twice",
        "INSERT INTO sales_deltas (ordered_at, units) SELECT ordered_at, units FROM sales_deltas WHERE units = '[2,2]'",
        ["window of 3 day(s), product 2: 1 in its bucket and 3 in deltas, sold 2", "answered"] * 2,
    ),
    (
        "a window's since is later than its buckets",
        "UPDATE best_seller_windows SET since = since + 3 * 86400000000 WHERE id = 2",
        ["window of 7 day(s), product 1: 14 in its bucket and -5 in deltas, sold 7", "answered"],
    ),
    (
        "a bucket's max_units is too low",
        f"UPDATE best_seller_buckets SET max_units = 1 WHERE {BUCKET}",
        ["window of 3 day(s), bucket 0: max_units is 1, its largest is 12"],
    ),
    (
        "a window is there twice",
        f"INSERT INTO best_seller_windows (id, days, since, state, started_at, requested_at) {WINDOW}",
        ["2 active windows of 7 day(s)"],
    ),
]


@pytest.mark.parametrize(("sql", "named"), [each[1:] for each in DAMAGE], ids=[each[0] for each in DAMAGE])
def test_damage_is_named(shop: BestSellersShop, sql: str, named: list[str]) -> None:
    shop.change(sql)
    found = shop.wrong(NOW)
    assert found, "nothing was found"
    assert named[0] in found
    assert [line for line in named if "answered" not in line and line not in found] == []
    assert ("answered" in named) == any(": answered " in line for line in found)


def test_a_bucket_that_queries_overlook_is_found(
    shop: BestSellersShop,
) -> None:
    names = ", ".join(f"({product + 7}, 'far', 1, 10000, 1)" for product in TWELVE_BUCKETS)
    moved = ", ".join(f"({product + 7}, 10000, 1)" for product in TWELVE_BUCKETS)
    shop.change(
        f"INSERT INTO products (id, name, price, stock, created_at) VALUES {names}",
        f"INSERT INTO stock_movements (product_id, quantity, created_at) VALUES {moved}",
    )
    shop.buy(*((product + 7, 20) for product in TWELVE_BUCKETS), at=NOW)
    shop.buy((2, 30), at=NOW)
    shop.refresh(NOW)
    assert shop.best(NOW, limits=(1,)) == [(2, 32)]
    shop.change("UPDATE best_seller_buckets SET max_units = 0 WHERE window_id = 1 AND max_units = 32")
    with pytest.raises(AssertionError):
        shop.best(NOW, limits=(1,))
    assert "window of 3 day(s), bucket 0: max_units is 0, its largest is 32" in shop.wrong(NOW)


def test_buckets_of_a_retired_window_are_not_audited(shop: BestSellersShop) -> None:
    shop.change(
        "UPDATE best_seller_windows SET state = 'retired' WHERE id = 2",
        "DELETE FROM best_seller_buckets WHERE window_id = 2",
    )
    assert shop.wrong(NOW) == []


def test_of_many_wrong_products_five_are_named(shop: BestSellersShop) -> None:
    shop.change(f"UPDATE best_seller_buckets SET units = '[0,12,1,0,4,4,4,4,4,4,4,4]' WHERE {BUCKET}")
    found = shop.wrong(NOW)
    assert len([line for line in found if "in its bucket" in line]) == 5
    assert "window of 3 day(s): 3 more" in found
