"""The auditor names every kind of damage to what is counted of the best sellers, on a shop that was right before."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from jangteo.core.sales_pages import PAGE_PRODUCTS
from jangteo.storage.best_sellers import refresh
from tests.storage.refreshed import CountedShop, counted_shop
from tests.storage.shops import DAY, OPENED

NOW = OPENED + 10 * DAY
TWELVE_PAGES = range(PAGE_PRODUCTS, 13 * PAGE_PRODUCTS, PAGE_PRODUCTS)


@pytest.fixture
def shop(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[CountedShop]:
    """Some of its sales have left, some are counted, some are only noted; another window is kept too."""
    monkeypatch.setattr(refresh, "FEW", 0)
    with counted_shop(database) as shop:
        shop.buy((1, 2), at=NOW - 4 * DAY)
        cancelled = shop.buy((1, 5), (2, 1), at=NOW - DAY)
        shop.buy((1, 7), (PAGE_PRODUCTS, 3), at=NOW - DAY)
        shop.keep(NOW, 7)
        shop.cancel(cancelled, at=NOW)
        shop.buy((2, 2), at=NOW)
        assert shop.wrong(NOW) == []
        yield shop


PAGE, WINDOW = "window_id = 1 AND best = 12", "SELECT 9, days, since, 'active', started_at, requested_at"
DAMAGE: list[tuple[str, str, list[str]]] = [
    (
        "a page says too much",
        f"UPDATE best_seller_buckets SET sold = '[0,12,2]' WHERE {PAGE}",
        ["window of 3 day(s), product 2: 2 on its page and 1 not yet, sold 2", "answered"],
    ),
    (
        "a page is gone",
        f"DELETE FROM best_seller_buckets WHERE {PAGE}",
        [
            "window of 3 day(s), product 1: 0 on its page and -5 not yet, sold 7",
            "window of 3 day(s), product 2: 0 on its page and 1 not yet, sold 2",
            "answered",
        ],
    ),
    (
        "a note is gone",
        "DELETE FROM sales_deltas WHERE units = '[2,2]'",
        ["window of 3 day(s), product 2: 1 on its page and -1 not yet, sold 2", "answered"] * 2,
    ),
    (
        "a note is there twice",
        "INSERT INTO sales_deltas (moment, units) SELECT moment, units FROM sales_deltas WHERE units = '[2,2]'",
        ["window of 3 day(s), product 2: 1 on its page and 3 not yet, sold 2", "answered"] * 2,
    ),
    (
        "a window is later than what is counted of it",
        "UPDATE best_seller_windows SET since = since + 3 * 86400000000 WHERE id = 2",
        ["window of 7 day(s), product 1: 14 on its page and -5 not yet, sold 7", "answered"],
    ),
    (
        "a page is among the others with too little",
        f"UPDATE best_seller_buckets SET best = 1 WHERE {PAGE}",
        ["window of 3 day(s), page 0: 1 at the most, 12 on it"],
    ),
    (
        "a window is there twice",
        f"INSERT INTO best_seller_windows (id, days, since, state, started_at, requested_at) {WINDOW} FROM best_seller_windows WHERE id = 2",
        ["2 windows of 7 day(s)"],
    ),
]


@pytest.mark.parametrize(("sql", "named"), [each[1:] for each in DAMAGE], ids=[each[0] for each in DAMAGE])
def test_damage_is_named(shop: CountedShop, sql: str, named: list[str]) -> None:
    shop.change(sql)
    found = shop.wrong(NOW)
    assert found, "nothing was found"
    assert named[0] in found
    assert [line for line in named if "answered" not in line and line not in found] == []
    assert ("answered" in named) == any(": answered " in line for line in found)


def test_a_page_that_is_not_read_for_its_best_is_found_though_more_pages_are_read_then(
    shop: CountedShop,
) -> None:
    names = ", ".join(f"({product + 7}, 'far', 1, 10000, 1)" for product in TWELVE_PAGES)
    moved = ", ".join(f"({product + 7}, 10000, 1)" for product in TWELVE_PAGES)
    shop.change(
        f"INSERT INTO products (id, name, price, stock, created_at) VALUES {names}",
        f"INSERT INTO stock_movements (product_id, quantity, created_at) VALUES {moved}",
    )
    shop.buy(*((product + 7, 20) for product in TWELVE_PAGES), at=NOW)
    shop.buy((2, 30), at=NOW)
    shop.step(NOW)
    assert shop.agreed(NOW, limits=(1,)) == [(2, 32)]
    shop.change("UPDATE best_seller_buckets SET best = 0 WHERE window_id = 1 AND best = 32")
    with pytest.raises(AssertionError):
        shop.agreed(NOW, limits=(1,))
    assert "window of 3 day(s), page 0: 0 at the most, 32 on it" in shop.wrong(NOW)


def test_pages_of_a_window_that_is_let_go_are_nobodys(shop: CountedShop) -> None:
    shop.change(
        "UPDATE best_seller_windows SET state = 'retired' WHERE id = 2",
        "DELETE FROM best_seller_buckets WHERE window_id = 2",
    )
    assert shop.wrong(NOW) == []


def test_of_much_that_is_wrong_some_is_named(shop: CountedShop) -> None:
    shop.change(f"UPDATE best_seller_buckets SET sold = '[0,12,1,0,4,4,4,4,4,4,4,4]' WHERE {PAGE}")
    found = shop.wrong(NOW)
    assert len([line for line in found if "on its page" in line]) == 5
    assert "window of 3 day(s): 3 more" in found
