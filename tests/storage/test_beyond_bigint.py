"""No sum overflows: a product without a price is bought and put in again until its units pass 2^64.

Each amount and quantity of a command is below 2^53, so all of this may be asked for over HTTP.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from jangteo.core import best_sellers
from jangteo.core.limits import LARGEST
from jangteo.core.orders import CancelOrder
from jangteo.core.products import AddProduct, MoveStock
from jangteo.core.wallets import ChargeBalance, RegisterUser
from jangteo.storage.copying import copy_shop
from jangteo.storage.urls import open_storage
from tests.postgres import EMPTY_SHOP, Server
from tests.storage.best_sellers.shop import BestSellersShop, best_sellers_shop, bought
from tests.storage.shops import DAY, OPENED

NOW = OPENED + 20 * DAY
TIMES = 2_100
"""So often, 2^53 - 1 units are more than 2^64."""
BEYOND = TIMES * LARGEST
PER_BATCH = 300


class Oversold(BestSellersShop):
    """A shop in which `first` and `last` are sold beyond 2^64, and `most` just up to 2^53 - 1."""

    def set_up(self) -> None:
        super().set_up()
        self.first, self.most, self.last = (each.id for each in self.do(*[AddProduct("air", 0, LARGEST)] * 3))
        self.sell_out(self.first)
        self.buy((self.most, LARGEST), at=NOW - DAY)
        self.buy((1, 7), at=NOW - DAY)
        self.orders = self.sell_out(self.last)

    def sell_out(self, product: int) -> list[int]:
        """Sell the whole stock and put it in again, over and over; return the orders, oldest first."""
        once = bought((product, LARGEST)), MoveStock(product, LARGEST)
        placed: list[int] = []
        for _ in range(TIMES // PER_BATCH):
            placed += [order.order_id for order in self.do(*once * PER_BATCH, at=NOW - DAY)[::2]]
        return placed


@pytest.fixture
def oversold(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Oversold]:
    monkeypatch.setattr(best_sellers, "MIN_CHANGES", 0)
    with closing(Oversold(database)) as shop:
        shop.set_up()
        yield shop


def best_of(shop: Oversold) -> list[tuple[int, int]]:
    return [(product, LARGEST) for product in sorted((shop.first, shop.most, shop.last))] + [(1, 7)]


def test_units_beyond_2_to_the_53_are_answered_as_the_largest_and_tie(oversold: Oversold) -> None:
    waiting = oversold.best(NOW)
    oversold.refresh(NOW)
    refreshed = oversold.best(NOW)
    assert waiting == refreshed == best_of(oversold)
    assert oversold.wrong(NOW) == []


def test_units_are_exact_again_once_enough_are_cancelled(oversold: Oversold) -> None:
    oversold.do(MoveStock(oversold.last, -LARGEST))
    oversold.refresh(NOW)
    undone = [each for order in oversold.orders for each in (CancelOrder(order), MoveStock(oversold.last, -LARGEST))]
    for start in range(0, len(undone), PER_BATCH):
        oversold.do(*undone[start : start + PER_BATCH], at=NOW)
    oversold.do(MoveStock(oversold.last, 3), at=NOW)
    oversold.buy((oversold.last, 3), at=NOW)
    expected = [*best_of(oversold)[:2], (1, 7), (oversold.last, 3)]
    assert oversold.best(NOW) == expected
    oversold.refresh(NOW)
    assert oversold.best(NOW) == expected
    assert oversold.wrong(NOW) == []


def test_units_beyond_2_to_the_64_leave_the_window(oversold: Oversold) -> None:
    oversold.refresh(NOW)
    later = NOW + 3 * DAY
    oversold.buy((2, 5), at=later)
    assert oversold.best(later) == [(2, 5)]
    oversold.refresh(later)
    assert oversold.best(later) == [(2, 5)]
    assert oversold.rows("SELECT COUNT(*) FROM best_seller_buckets") == [(1,)]
    assert oversold.wrong(later) == []


def test_a_window_is_backfilled_with_units_beyond_2_to_the_64(oversold: Oversold) -> None:
    window = oversold.start_window(NOW, 7)
    missing = oversold.missing(window, NOW)
    assert missing[oversold.first] == BEYOND
    oversold.finish(window, missing, NOW)
    assert oversold.view_answers(NOW, 7)
    assert oversold.best(NOW, 7) == best_of(oversold)
    assert oversold.wrong(NOW) == []


def test_a_bucket_that_is_wrong_by_one_beyond_2_to_the_64_is_found(oversold: Oversold) -> None:
    oversold.refresh(NOW)
    oversold.change(f"UPDATE best_seller_buckets SET units = REPLACE(units, '{BEYOND}', '{BEYOND + 1}')")
    assert [line for line in oversold.wrong(NOW) if "bucket" in line] == [
        f"window of 3 day(s), product {product}: {BEYOND + 1} in its bucket and 0 in deltas, sold {BEYOND}"
        for product in (oversold.first, oversold.last)
    ]


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE products SET stock = stock - 1 WHERE id = {product}",
        "INSERT INTO stock_movements (product_id, quantity, created_at) VALUES ({product}, 1, 1)",
        "UPDATE order_items SET quantity = quantity - 1 WHERE order_id = {order}",
    ],
)
def test_a_stock_that_is_wrong_by_one_is_found_whatever_was_sold(oversold: Oversold, damage: str) -> None:
    oversold.change(damage.format(product=oversold.last, order=oversold.orders[0]))
    (found,) = (line for line in oversold.wrong(NOW) if line.startswith("product "))
    stock, counted = (int(part.rsplit(" ", 1)[1]) for part in found.split(", "))
    assert abs(stock - counted) == 1


def test_a_shop_sold_beyond_2_to_the_64_is_copied(
    oversold: Oversold, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    oversold.refresh(NOW)
    if oversold.database.startswith("sqlite"):
        server: Server = request.getfixturevalue("postgres")
        target = server.create("oversold", EMPTY_SHOP)
        request.addfinalizer(lambda: server.drop("oversold"))
    else:
        target = f"sqlite:///{tmp_path / 'copy.db'}"
    with closing(open_storage(oversold.database)) as source, closing(open_storage(target)) as empty:
        list(copy_shop(source, empty, lambda: NOW))
    with closing(BestSellersShop(target)) as copied:
        assert copied.best(NOW) == best_of(oversold)


@pytest.fixture
def rich(database: str) -> Iterator[BestSellersShop]:
    """User 4 has charged and spent 2^53 - 1 until either sum has passed 2^63."""
    with best_sellers_shop(database) as shop:
        (user,) = shop.do(RegisterUser(None))
        (product,) = shop.do(AddProduct("moon", LARGEST, TIMES))
        each = ChargeBalance(user.user_id, LARGEST), bought((product.id, 1), user=user.user_id)
        for _ in range(TIMES // PER_BATCH):
            shop.do(*each * PER_BATCH)
        shop.do(each[0])
        assert shop.wrong() == []
        yield shop


FIVE = "id IN (SELECT id FROM ledger_entries WHERE user_id = 4 AND kind = '{}' ORDER BY id LIMIT 5)"


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        ("UPDATE users SET balance = balance - 1 WHERE id = 4", "user 4: balance "),
        (f"UPDATE ledger_entries SET amount = {2**63 - 1} WHERE {FIVE.format('charge')}", "user 4: balance "),
        (f"UPDATE ledger_entries SET amount = {-(2**63)} WHERE {FIVE.format('payment')}", "order "),
        (f"UPDATE order_items SET quantity = {LARGEST} WHERE unit_price = {LARGEST}", "order "),
    ],
    ids=["a balance", "charges", "payments", "quantities"],
)
def test_the_audit_names_damage_whose_sums_pass_2_to_the_63(rich: BestSellersShop, damage: str, named: str) -> None:
    rich.change(damage)
    assert [line for line in rich.wrong() if line.startswith(named)]
