"""A coupon that a cancellation gives back is used again within the same transaction, whatever else the batch has."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from jangteo.core.book import Command
from jangteo.core.coupons import ClaimCoupon, StartCampaign
from jangteo.core.entities import CouponTerms, Order
from jangteo.core.orders import CancelOrder, PlaceOrder, RequestedItem
from jangteo.core.refusals import InvalidCoupon
from jangteo.engine.batch import Submission, apply
from jangteo.engine.outcomes import SerializedOutcome
from jangteo.storage import orders
from jangteo.storage.postgres.statements import write_all
from tests.storage.shops import OPENED, Shop

TERMS = CouponTerms(discount=1, percent=None, max_discount=None, min_amount=0)


@pytest.fixture
def shop(kept: Shop) -> Shop:
    """Each of the users 1, 2 and 3 has the coupon of the same number."""
    kept.do(StartCampaign("opening", TERMS, 10, opens_at=None, closes_at=None, coupon_valid_days=None))
    kept.do(*(ClaimCoupon(user, 1) for user in (1, 2, 3)))
    return kept


def order(user: int) -> PlaceOrder:
    return PlaceOrder(user, (RequestedItem(user, 1),), user)


def in_one_transaction(shop: Shop, *commands: Command) -> list[Any]:
    """`commit` would retry a batch that is refused, and halve it."""
    with shop._connection.transaction() as session:
        outcomes = apply(session, [Submission(command) for command in commands], OPENED).outcomes
    return [each.value() for each in outcomes if isinstance(each, SerializedOutcome)]


def users_of_coupons(shop: Shop) -> dict[int, int]:
    return dict(shop.rows("SELECT coupon_id, id FROM orders WHERE status = 'paid' AND coupon_id IS NOT NULL"))


@pytest.mark.parametrize("count", [1, 3])
def test_a_cancelled_orders_coupon_is_used_by_the_next_order(shop: Shop, count: int) -> None:
    users = range(1, count + 1)
    shop.do(*map(order, users))
    outcomes = in_one_transaction(shop, *map(CancelOrder, users), *map(order, users))
    assert [each.status for each in outcomes] == ["cancelled"] * count + ["paid"] * count
    assert users_of_coupons(shop) == {user: count + user for user in users}
    assert shop.wrong() == []


def test_a_coupon_is_given_back_and_used_several_times(shop: Shop) -> None:
    shop.do(order(1))
    outcomes = in_one_transaction(
        shop, CancelOrder(1), order(1), CancelOrder(2), order(1), CancelOrder(3), order(2), order(1)
    )
    assert all(isinstance(each, Order) for each in outcomes)
    assert users_of_coupons(shop) == {1: 5, 2: 4}
    assert shop.wrong() == []


def test_an_order_before_the_cancellation_is_refused(shop: Shop) -> None:
    shop.do(order(1))
    refused, cancelled, placed = in_one_transaction(shop, order(1), CancelOrder(1), order(1))
    assert isinstance(refused, InvalidCoupon)
    assert (cancelled.status, placed.status) == ("cancelled", "paid")
    assert shop.wrong() == []


@pytest.mark.parametrize("seed", range(8))
def test_random_batches_keep_the_rule(shop: Shop, seed: int) -> None:
    chosen = Random(seed)
    for _ in range(8):
        newest = max(shop.ids("orders"), default=0)
        commands: list[Command] = [order(chosen.randint(1, 3)) for _ in range(4)]
        # Some of these ids are given to orders of the same batch.
        commands += [CancelOrder(chosen.randint(1, newest + 4)) for _ in range(6)]
        chosen.shuffle(commands)
        in_one_transaction(shop, *commands)
    assert shop.wrong() == []


def test_one_statement_inserts_orders_only_after_its_cancellations() -> None:
    # PostgreSQL gives the steps of one statement no order but that in which they read each other.
    sql = write_all(((orders._STATUSES, False), (orders._NEW_ORDERS, False)))
    assert "WHERE (SELECT COUNT(*) FROM step_0) >= 0)" in sql[sql.index("INSERT INTO orders") :]
    alone = write_all(((orders._NEW_ORDERS, False), (orders._NEW_ITEMS, False)))
    assert "step_0)" not in alone
