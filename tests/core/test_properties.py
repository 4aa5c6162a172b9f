"""Invariants that hold after any sequence of commands."""

from __future__ import annotations

from copy import deepcopy

from hypothesis import given
from hypothesis import strategies as st

from jangteo.core.book import Book, Command
from jangteo.core.coupons import ClaimCoupon, discount_on
from jangteo.core.entities import CouponTerms
from jangteo.core.limits import LARGEST
from jangteo.core.orders import CancelOrder, PlaceOrder, RequestedItem
from jangteo.core.products import ChangeProduct, MoveStock
from jangteo.core.refusals import Refusal
from jangteo.core.wallets import ChargeBalance
from tests.core.books import book, campaign, changes

few = st.integers(1, 4)
money = st.one_of(st.integers(1, 5_000), st.sampled_from([LARGEST, LARGEST // 2]))
items = st.lists(st.builds(RequestedItem, few, st.one_of(st.integers(1, 3), st.just(LARGEST))), min_size=1, max_size=4)
commands = st.one_of(
    st.builds(ChargeBalance, few, money),
    st.builds(ChangeProduct, few, st.none(), money),
    st.builds(MoveStock, few, st.one_of(st.integers(-3, 9), money, money.map(lambda amount: -amount))),
    st.builds(ClaimCoupon, few, st.none() | few),
    st.builds(PlaceOrder, few, items, st.none() | st.integers(101, 106)),
    st.builds(CancelOrder, st.integers(101, 106)),
)
terms = st.one_of(
    st.builds(CouponTerms, money, st.none(), st.none(), st.integers(0, 3_000)),
    st.builds(CouponTerms, st.none(), st.integers(1, 100), st.none() | money, st.integers(0, 3_000)),
)

CHARGED_AND_STOCKED: list[Command] = [
    *(ChargeBalance(user, 100_000) for user in (1, 2, 3)),
    MoveStock(1, 99),
    MoveStock(2, 99),
]


def shop(*campaign_terms: CouponTerms) -> Book:
    """Only three of four users and three of four products exist, so that some ids are unknown."""
    return book(
        wallets={1: 0, 2: 0, 3: 0},
        products={1: (100, 0), 2: (700, 0), 3: (0, 0)},
        campaigns=tuple(campaign(i, quantity=2, terms=each) for i, each in enumerate(campaign_terms, 1)),
    )


@given(st.lists(commands, max_size=40), st.lists(terms, min_size=1, max_size=2))
def test_money_and_stock_are_conserved_and_never_negative(
    sequence: list[Command], campaign_terms: list[CouponTerms]
) -> None:
    market = shop(*campaign_terms)
    for command in sequence:
        before = deepcopy(changes(market))
        if isinstance(command.decide(market), Refusal):
            assert changes(market) == before, "a refused command has changed something"
    orders = market.orders.rows.values()
    charged = sum(entry.amount for entry in market.ledger if entry.kind == "charge")
    paid = sum(order.total for order in orders if order.status == "paid")
    assert charged == sum(wallet.balance for wallet in market.wallets.rows.values()) + paid
    for product in market.products.rows.values():
        moved = sum(movement.quantity for movement in market.stock_movements if movement.product_id == product.id)
        sold = sum(
            item.quantity
            for order in orders
            if order.status == "paid"
            for item in order.items
            if item.product_id == product.id
        )
        assert product.stock == moved - sold
        assert 0 <= product.stock <= LARGEST
    assert all(0 <= wallet.balance <= LARGEST for wallet in market.wallets.rows.values())


@given(st.lists(commands, max_size=40), st.lists(terms, min_size=1, max_size=2))
def test_a_campaign_never_issues_too_many_coupons_and_no_coupon_is_used_twice(
    sequence: list[Command], campaign_terms: list[CouponTerms]
) -> None:
    market = shop(*campaign_terms)
    for command in [*CHARGED_AND_STOCKED, *sequence]:
        command.decide(market)
    for each in market.campaigns.rows.values():
        holders = [coupon.user_id for coupon in market.coupons.rows.values() if coupon.campaign_id == each.campaign_id]
        assert len(holders) == len(set(holders)) == each.issued <= each.quantity
    used = [order.coupon_id for order in market.orders.rows.values() if order.status == "paid" and order.coupon_id]
    assert sorted(used) == sorted(coupon.coupon_id for coupon in market.coupons.rows.values() if coupon.order_id)


@given(st.lists(commands, max_size=40), st.lists(terms, min_size=1, max_size=2))
def test_every_payment_and_every_cancellation_makes_one_event(
    sequence: list[Command], campaign_terms: list[CouponTerms]
) -> None:
    market = shop(*campaign_terms)
    for command in [*CHARGED_AND_STOCKED, *sequence]:
        command.decide(market)
    orders = market.orders.rows.values()
    expected = [f"order-{order.order_id}-paid" for order in orders]
    expected += [f"order-{order.order_id}-cancelled" for order in orders if order.status == "cancelled"]
    assert sorted(event.id for event in market.events) == sorted(expected)


@given(terms, st.integers(0, LARGEST))
def test_a_discount_is_never_negative_and_never_more_than_the_amount(given_terms: CouponTerms, amount: int) -> None:
    assert 0 <= discount_on(given_terms, amount) <= amount
