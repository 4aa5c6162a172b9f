from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from jangteo.core.coupons import (
    CampaignStanding,
    ClaimCoupon,
    HeldCoupon,
    StartCampaign,
    discount_on,
    held_coupon,
    status_of,
)
from jangteo.core.entities import CouponTerms
from jangteo.core.refusals import (
    CampaignNotFound,
    CampaignNotOpen,
    CouponAlreadyClaimed,
    CouponsSoldOut,
    NeverOpen,
    UserNotFound,
)
from tests.core.books import DAY, NO_CHANGES, NOW, book, campaign, changes, coupon

MICROSECOND = timedelta(microseconds=1)
WALLETS = {1: 0, 2: 0, 3: 0}

# In order of precedence: each row breaks its own rule and, where possible, those below it.
PRECEDENCE = [
    (ClaimCoupon(9, 9), UserNotFound(9)),
    (ClaimCoupon(1, 9), CampaignNotFound(9)),
    (ClaimCoupon(1, 2), CampaignNotOpen(2, NOW + MICROSECOND, None)),
    (ClaimCoupon(1, 3), CampaignNotOpen(3, NOW - DAY, NOW)),
    (ClaimCoupon(1, 1), CouponAlreadyClaimed(1, 1)),
    (ClaimCoupon(2, 1), CouponsSoldOut(1)),
    (ClaimCoupon(2, None), CouponsSoldOut()),
]


@pytest.mark.parametrize(("command", "refusal"), PRECEDENCE)
def test_the_first_refusal_that_applies_is_returned_and_changes_nothing(command: ClaimCoupon, refusal: object) -> None:
    shop = book(
        WALLETS,
        campaigns=(
            campaign(1, quantity=1, issued=1),
            campaign(2, quantity=1, issued=1, opens_at=NOW + MICROSECOND),
            campaign(3, quantity=1, issued=1, closes_at=NOW),
        ),
        coupons=(coupon(1, user_id=1),),
    )
    assert command.decide(shop) == refusal
    assert changes(shop) == NO_CHANGES


def test_coupons_are_issued_in_the_order_of_claims_until_they_are_sold_out() -> None:
    shop = book(WALLETS, campaigns=(campaign(1, quantity=2),))
    outcomes = [ClaimCoupon(user, 1).decide(shop) for user in (3, 1, 2)]
    assert [type(outcome).__name__ for outcome in outcomes] == ["HeldCoupon", "HeldCoupon", "CouponsSoldOut"]
    after = shop.campaigns.get(1)
    assert after is not None
    assert after.issued == 2


def test_a_second_claim_in_the_same_batch_is_refused() -> None:
    shop = book(WALLETS, campaigns=(campaign(1),))
    ClaimCoupon(1, 1).decide(shop)
    assert ClaimCoupon(1, 1).decide(shop) == CouponAlreadyClaimed(1, 101)


def test_a_claim_without_a_campaign_takes_the_open_one_with_the_lowest_id_that_has_coupons() -> None:
    shop = book(
        WALLETS,
        campaigns=(
            campaign(5, quantity=1),
            campaign(4, quantity=1, opens_at=NOW + MICROSECOND),
            campaign(3, quantity=1),
            campaign(2, quantity=1, issued=1),
        ),
    )
    outcomes = [ClaimCoupon(user, None).decide(shop) for user in (1, 2, 3)]
    assert [each.campaign_id if isinstance(each, HeldCoupon) else each for each in outcomes] == [3, 5, CouponsSoldOut()]


# used by an order, expires                       status
STATUSES = [
    (None, None, "usable"),
    (None, NOW + MICROSECOND, "usable"),
    (None, NOW, "expired"),
    (7, None, "used"),
    (7, NOW - DAY, "used"),
]


@pytest.mark.parametrize(("order_id", "expires_at", "status"), STATUSES)
def test_a_used_coupon_is_used_and_an_unused_one_expires(
    order_id: int | None, expires_at: datetime | None, status: str
) -> None:
    assert status_of(coupon(order_id=order_id, expires_at=expires_at), NOW) == status


def test_a_coupon_is_valid_for_its_days_from_the_claim() -> None:
    shop = book(WALLETS, campaigns=(campaign(1, valid_days=30),))
    claimed = ClaimCoupon(1, 1).decide(shop)
    assert isinstance(claimed, HeldCoupon)
    assert claimed.expires_at == NOW + 30 * DAY


def test_the_discount_of_a_percentage_is_null_until_an_order_uses_it() -> None:
    percentage = coupon(terms=CouponTerms(None, 10, None, 0))
    assert held_coupon(percentage, NOW).discount is None
    assert held_coupon(percentage, NOW, used_discount=120).discount == 120
    assert held_coupon(coupon(), NOW).discount == 1_000


def test_a_campaign_without_an_opening_time_opens_now() -> None:
    shop = book()
    terms = CouponTerms(1_000, None, None, 0)
    assert StartCampaign("a", terms, 5, None, None, None).decide(shop).opens_at == NOW
    later = StartCampaign("b", terms, 5, NOW + DAY, None, None).decide(shop)
    assert isinstance(later, CampaignStanding)
    assert (later.campaign_id, later.opens_at, later.remaining) == (102, NOW + DAY, 5)


@pytest.mark.parametrize(
    ("opens", "closes", "is_refused"),
    [
        (None, NOW - DAY, True),
        (None, NOW, True),
        (None, NOW + MICROSECOND, False),
        (NOW + DAY, NOW + DAY, True),
        (NOW + DAY, NOW, True),
        (NOW - 2 * DAY, NOW - DAY, False),
        (NOW + DAY, None, False),
    ],
)
def test_a_campaign_closes_after_the_moment_it_opens_also_where_that_is_now(
    opens: datetime | None, closes: datetime | None, *, is_refused: bool
) -> None:
    shop = book()
    outcome = StartCampaign("a", CouponTerms(1_000, None, None, 0), 5, opens, closes, None).decide(shop)
    assert isinstance(outcome, NeverOpen) == is_refused
    if isinstance(outcome, NeverOpen):
        assert (outcome.opens_at, outcome.closes_at) == (opens or NOW, closes)


# terms, amount -> discount
DISCOUNTS = [
    (CouponTerms(500, None, None, 0), 400, 400),
    (CouponTerms(500, None, None, 0), 500, 500),
    (CouponTerms(None, 1, None, 0), 99, 0),
    (CouponTerms(None, 1, None, 0), 100, 1),
    (CouponTerms(None, 50, 100, 0), 201, 100),
]


@pytest.mark.parametrize(("terms", "amount", "discount"), DISCOUNTS)
def test_a_discount_is_limited_and_rounded_down(terms: CouponTerms, amount: int, discount: int) -> None:
    assert discount_on(terms, amount) == discount
