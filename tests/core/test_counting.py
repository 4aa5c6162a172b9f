"""A step of the counting is done once; and what a batch has sold is what its orders say that are still paid."""

from __future__ import annotations

from datetime import datetime

import pytest

from jangteo.core.book import Book, Needs
from jangteo.core.counting import THE_TALLY, Counted, CountSales, Step, sales_of
from jangteo.core.entities import Order, OrderItem
from jangteo.core.orders import CancelOrder, PlaceOrder, RequestedItem
from tests.core.books import DAY, NOW, book


def counted(steps: int) -> Book:
    shop = book()
    shop.view_version.fill([(THE_TALLY, steps)])
    return shop


def test_a_step_needs_the_tally() -> None:
    needs = Needs()
    CountSales(0, Step()).name_needs(needs)
    assert needs.view_version


@pytest.mark.parametrize(("steps", "seen", "done"), [(0, 0, True), (7, 7, True), (7, 6, False), (7, 8, False)])
def test_a_step_is_done_where_no_other_was_done_since(steps: int, seen: int, *, done: bool) -> None:
    shop, step = counted(steps), Step(counted=(1, 2))
    assert CountSales(seen, step).decide(shop) == Counted(done=done)
    assert shop.refreshes == ([step] if done else [])
    assert shop.view_version.replaced() == ([(steps, steps + 1)] if done else [])


def test_of_two_steps_in_one_batch_the_second_comes_too_late() -> None:
    shop, first, second = counted(3), Step(counted=(1,)), Step(counted=(1, 2))
    assert CountSales(3, first).decide(shop) == Counted(done=True)
    assert CountSales(3, second).decide(shop) == Counted(done=False)
    assert shop.refreshes == [first]
    assert shop.view_version.get(THE_TALLY) == 4


def test_without_a_tally_nothing_is_counted() -> None:
    shop = book()
    assert CountSales(0, Step(counted=(1,))).decide(shop) == Counted(done=False)
    assert shop.refreshes == []


YESTERDAY = NOW - DAY
OLD = Order(7, 1, "paid", (OrderItem(1, 3, 10, 30), OrderItem(2, 1, 10, 10)), 40, 0, 40, None, YESTERDAY)


def shop_with_an_old_order() -> Book:
    return book(wallets={1: 1_000}, products={1: (10, 50), 2: (10, 50)}, orders=(OLD,))


def sales(shop: Book) -> list[tuple[datetime, dict[int, int]]]:
    return [
        (moment, {item.product_id: sign * item.quantity for item in order.items})
        for moment, order, sign in sales_of(shop)
    ]


PLACED = PlaceOrder(1, (RequestedItem(1, 2), RequestedItem(1, 1), RequestedItem(2, 4)), None)


def test_an_order_is_sold_at_the_moment_of_the_batch() -> None:
    shop = shop_with_an_old_order()
    PLACED.decide(shop)
    assert sales(shop) == [(NOW, {1: 3, 2: 4})]


def test_a_cancelled_order_is_given_back_at_the_moment_at_which_it_was_placed() -> None:
    shop = shop_with_an_old_order()
    CancelOrder(7).decide(shop)
    assert sales(shop) == [(YESTERDAY, {1: -3, 2: -1})]


def test_what_is_placed_and_cancelled_in_one_batch_was_not_sold() -> None:
    shop = shop_with_an_old_order()
    placed = PLACED.decide(shop)
    assert isinstance(placed, Order)
    CancelOrder(placed.order_id).decide(shop)
    assert sales(shop) == []


def test_what_is_refused_was_neither_sold_nor_given_back() -> None:
    shop = shop_with_an_old_order()
    PlaceOrder(1, (RequestedItem(1, 51),), None).decide(shop)
    CancelOrder(8).decide(shop)
    CancelOrder(7).decide(shop)
    CancelOrder(7).decide(shop)
    assert sales(shop) == [(YESTERDAY, {1: -3, 2: -1})]
