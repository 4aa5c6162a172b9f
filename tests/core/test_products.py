from __future__ import annotations

import pytest

from jangteo.core.entities import Product
from jangteo.core.limits import LARGEST
from jangteo.core.products import AddProduct, ChangeProduct, MoveStock
from jangteo.core.refusals import LimitExceeded, OutOfStock, ProductNotFound
from tests.core.books import NO_CHANGES, book, changes


def test_the_initial_stock_of_a_product_is_a_movement() -> None:
    shop = book()
    assert AddProduct("rice", 41_000, 60).decide(shop) == Product(101, "rice", 41_000, 60)
    assert [(movement.product_id, movement.quantity) for movement in shop.stock_movements] == [(101, 60)]


# new name, new price -> the changed product
CHANGED = [
    (None, None, Product(1, "product 1", 500, 3)),
    ("new", None, Product(1, "new", 500, 3)),
    (None, 0, Product(1, "product 1", 0, 3)),
]


@pytest.mark.parametrize(("name", "price", "product"), CHANGED)
def test_a_change_leaves_other_values_unchanged(name: str | None, price: int | None, product: Product) -> None:
    assert ChangeProduct(1, name, price).decide(book(products={1: (500, 3)})) == product


def test_a_change_of_nothing_is_no_change() -> None:
    shop = book(products={1: (500, 3)})
    ChangeProduct(1, None, None).decide(shop)
    assert shop.catalog_changes == []


@pytest.mark.parametrize(("quantity", "stock"), [(1, 4), (-3, 0), (LARGEST - 3, LARGEST)])
def test_stock_can_be_moved_down_to_0_and_up_to_the_limit(quantity: int, stock: int) -> None:
    shop = book(products={1: (500, 3)})
    assert MoveStock(1, quantity).decide(shop) == Product(1, "product 1", 500, stock)
    assert [movement.quantity for movement in shop.stock_movements] == [quantity]


REFUSED = [
    (ChangeProduct(9, "x", 1), ProductNotFound(9)),
    (MoveStock(9, 1), ProductNotFound(9)),
    (MoveStock(1, -4), OutOfStock(1, 3, 4)),
    (MoveStock(1, LARGEST - 2), LimitExceeded("stock")),
]


@pytest.mark.parametrize(("command", "refusal"), REFUSED)
def test_refused_commands_change_nothing(command: ChangeProduct | MoveStock, refusal: object) -> None:
    shop = book(products={1: (500, 3)})
    assert command.decide(shop) == refusal
    assert changes(shop) == NO_CHANGES
