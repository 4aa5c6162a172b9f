from __future__ import annotations

import pytest
from msgspec.structs import replace

from jangteo.core.entities import CouponTerms, Order, OrderItem, Product, Wallet
from jangteo.core.limits import LARGEST
from jangteo.core.orders import CancelOrder, PlaceOrder, RequestedItem
from jangteo.core.refusals import (
    InsufficientBalance,
    InvalidCoupon,
    LimitExceeded,
    OrderAlreadyCancelled,
    OrderNotFound,
    OutOfStock,
    ProductNotFound,
    UserNotFound,
)
from tests.core.books import DAY, NO_CHANGES, NOW, book, changes, coupon

FROM_5000 = CouponTerms(1_000, None, None, 5_000)
ORDER = Order(7, 1, "paid", (OrderItem(1, 2, 1_000, 2_000),), 2_000, 500, 1_500, 1, NOW - DAY)


def place(user_id: int, *items: tuple[int, int], coupon_id: int | None = None) -> PlaceOrder:
    return PlaceOrder(user_id, tuple(RequestedItem(*item) for item in items), coupon_id)


# The API's order of refusals: each row breaks its own rule and every rule below it, so that it passes only if its rule
# is checked before all rules below. (Malformed requests are refused before they reach core.)
PRECEDENCE = [
    # user, (product, quantity)…, coupon                      the refusal
    (place(9, (9, 99), (1, 99), coupon_id=9), UserNotFound(9)),
    (place(1, (1, 99), (9, 1), coupon_id=9), ProductNotFound(9)),
    (place(1, (1, 99), coupon_id=9), InsufficientBalance(10_000, 99_000)),
    (place(2, (1, 11), (2, 1), coupon_id=9), OutOfStock(1, 10, 11)),
    (place(2, (2, 1), (1, 11), coupon_id=9), OutOfStock(2, 0, 1)),
    (place(2, (1, 1), coupon_id=9), InvalidCoupon(9, "unknown")),
    (place(2, (1, 1), coupon_id=1), InvalidCoupon(1, "unknown")),
    (place(1, (1, 1), coupon_id=2), InvalidCoupon(2, "used")),
    (place(1, (1, 1), coupon_id=3), InvalidCoupon(3, "expired")),
    (place(1, (1, 1), coupon_id=4), InvalidCoupon(4, "below-minimum", 1_000, 5_000)),
]


@pytest.mark.parametrize(("command", "refusal"), PRECEDENCE)
def test_the_first_refusal_that_applies_is_returned_and_changes_nothing(command: PlaceOrder, refusal: object) -> None:
    shop = book(
        wallets={1: 10_000, 2: 1_000_000},
        products={1: (1_000, 10), 2: (1_000, 0)},
        coupons=(
            coupon(1, user_id=1),
            coupon(2, user_id=1, order_id=5),
            coupon(3, user_id=1, expires_at=NOW, terms=FROM_5000),
            coupon(4, user_id=1, terms=FROM_5000),
        ),
    )
    assert command.decide(shop) == refusal
    assert changes(shop) == NO_CHANGES


def test_an_order_is_paid_takes_its_stock_and_makes_an_event() -> None:
    shop = book(wallets={1: 10_000}, products={1: (1_000, 10), 2: (300, 5)})
    order = place(1, (1, 2), (2, 1)).decide(shop)
    items = (OrderItem(1, 2, 1_000, 2_000), OrderItem(2, 1, 300, 300))
    assert order == Order(101, 1, "paid", items, 2_300, 0, 2_300, None, NOW, actor="open")
    assert shop.wallets.get(1) == Wallet(1, 7_700, 101)
    assert shop.products.get(1) == Product(1, "product 1", 1_000, 8)
    assert [(entry.kind, entry.amount, entry.balance_after, entry.order_id) for entry in shop.ledger] == [
        ("payment", -2_300, 7_700, 101)
    ]
    assert [(event.type, event.id, event.order) for event in shop.events] == [
        ("jangteo.order.paid", "order-101-paid", order)
    ]


def test_items_of_the_same_product_are_added_up() -> None:
    shop = book(wallets={1: 10_000}, products={1: (1_000, 5)})
    assert place(1, (1, 3), (1, 3)).decide(shop) == OutOfStock(1, 5, 6)
    order = place(1, (1, 3), (1, 2)).decide(shop)
    assert isinstance(order, Order)
    assert order.items == (OrderItem(1, 5, 1_000, 5_000),)


# amount 10,000                      terms                             discount, total
DISCOUNTS = [
    (CouponTerms(1_000, None, None, 0), 1_000, 9_000),
    (CouponTerms(1_000, None, None, 10_000), 1_000, 9_000),
    (CouponTerms(99_000, None, None, 0), 10_000, 0),
    (CouponTerms(None, 10, None, 0), 1_000, 9_000),
    (CouponTerms(None, 10, 700, 0), 700, 9_300),
    (CouponTerms(None, 100, None, 0), 10_000, 0),
]


@pytest.mark.parametrize(("terms", "discount", "total"), DISCOUNTS)
def test_a_coupon_takes_its_discount_off_the_whole_order(terms: CouponTerms, discount: int, total: int) -> None:
    shop = book(wallets={1: 10_000}, products={1: (5_000, 5)}, coupons=(coupon(1, terms=terms),))
    order = place(1, (1, 2), coupon_id=1).decide(shop)
    assert isinstance(order, Order)
    assert (order.amount, order.discount, order.total, order.coupon_id) == (10_000, discount, total, 1)
    used = shop.coupons.get(1)
    assert used is not None
    assert used.order_id == order.order_id


def test_a_percentage_is_rounded_down() -> None:
    shop = book(wallets={1: 999}, products={1: (999, 1)}, coupons=(coupon(1, terms=CouponTerms(None, 33, None, 0)),))
    order = place(1, (1, 1), coupon_id=1).decide(shop)
    assert isinstance(order, Order)
    assert order.discount == 329


def test_the_balance_must_cover_the_amount_less_the_discount_of_a_valid_coupon() -> None:
    shop = book(wallets={1: 4_000}, products={1: (5_000, 1)}, coupons=(coupon(1), coupon(2, order_id=3)))
    assert place(1, (1, 1), coupon_id=2).decide(shop) == InsufficientBalance(4_000, 5_000)
    assert isinstance(place(1, (1, 1), coupon_id=1).decide(shop), Order)


def test_a_coupon_used_earlier_in_the_same_batch_is_used() -> None:
    shop = book(wallets={1: 10_000}, products={1: (1_000, 9)}, coupons=(coupon(1),))
    assert isinstance(place(1, (1, 1), coupon_id=1).decide(shop), Order)
    assert place(1, (1, 1), coupon_id=1).decide(shop) == InvalidCoupon(1, "used")


def test_amounts_and_quantities_beyond_the_limit_are_refused_without_their_value() -> None:
    everything_free = CouponTerms(None, 100, None, 0)
    shop = book(
        wallets={1: LARGEST}, products={1: (LARGEST, LARGEST), 2: (0, 1)}, coupons=(coupon(1, terms=everything_free),)
    )
    assert place(1, (1, 2)).decide(shop) == InsufficientBalance(LARGEST, None)
    assert isinstance(place(1, (1, 2), coupon_id=1).decide(shop), InsufficientBalance)
    assert place(1, (2, LARGEST), (2, LARGEST)).decide(shop) == OutOfStock(2, 1, None)
    assert changes(shop) == NO_CHANGES


def test_cancelling_returns_money_stock_and_coupon() -> None:
    shop = book(wallets={1: 0}, products={1: (9_999, 3)}, coupons=(coupon(1, order_id=7),), orders=(ORDER,))
    cancelled = CancelOrder(7).decide(shop)
    assert cancelled == replace(ORDER, status="cancelled", cancelled_at=NOW, cancelled_by="open")
    assert shop.wallets.get(1) == Wallet(1, 1_500, 101)
    assert shop.products.get(1) == Product(1, "product 1", 9_999, 5)
    assert shop.coupons.get(1) == coupon(1, order_id=None)
    assert [(entry.kind, entry.amount, entry.order_id) for entry in shop.ledger] == [("refund", 1_500, 7)]
    assert [(event.type, event.id) for event in shop.events] == [("jangteo.order.cancelled", "order-7-cancelled")]
    assert CancelOrder(7).decide(shop) == OrderAlreadyCancelled(7, NOW)


def test_cancelling_is_refused_for_an_unknown_order_or_beyond_a_limit() -> None:
    full = {"coupons": (coupon(1, order_id=7),), "orders": (ORDER,)}
    too_rich = book(wallets={1: LARGEST - 1_499}, products={1: (1, 0)}, **full)  # type: ignore[arg-type]  # by name
    too_full = book(wallets={1: 0}, products={1: (1, LARGEST - 1)}, **full)  # type: ignore[arg-type]  # by name
    assert CancelOrder(8).decide(too_rich) == OrderNotFound(8)
    assert CancelOrder(7).decide(too_rich) == LimitExceeded("balance")
    assert CancelOrder(7).decide(too_full) == LimitExceeded("stock")
    assert changes(too_rich) == changes(too_full) == NO_CHANGES


def test_an_order_can_be_cancelled_in_the_batch_that_placed_it() -> None:
    shop = book(wallets={1: 10_000}, products={1: (1_000, 10)})
    place(1, (1, 2)).decide(shop)
    CancelOrder(101).decide(shop)
    assert shop.wallets.get(1) == Wallet(1, 10_000, 102)
    assert [order.status for order in shop.orders.added()] == ["cancelled"]
    assert shop.orders.replaced() == []
