"""The closed set of a shop's "no".

A refusal is a value: it carries the facts a client needs, changes nothing, and knows nothing of HTTP.
A refusal's docstring is its explanation to the client.
"""

from typing import Literal

from msgspec import Struct

from jangteo.core.limits import Count, Id, Money, Timestamp

CouponProblem = Literal["unknown", "used", "expired", "below-minimum"]


class Refusal(Struct, frozen=True, rename="camel", omit_defaults=True):
    """The shop says no, and nothing has changed."""


class UserNotFound(Refusal, frozen=True):
    """There is no user with this id."""

    user_id: Id


class ProductNotFound(Refusal, frozen=True):
    """There is no product with this id."""

    product_id: Id


class CampaignNotFound(Refusal, frozen=True):
    """There is no campaign with this id."""

    campaign_id: Id


class OrderNotFound(Refusal, frozen=True):
    """There is no order with this id."""

    order_id: Id


class InvalidAmount(Refusal, frozen=True):
    """The amount is not a whole number from 1 up, or it would lift the balance to 2^53 or beyond."""

    balance: Money | None = None


class InsufficientBalance(Refusal, frozen=True):
    """The balance doesn't cover what the order costs. Charge the balance, or order less."""

    balance: Money
    required: Money | None = None
    """Left out where it would be 2^53 or more."""


class OutOfStock(Refusal, frozen=True):
    """There are fewer of this product left than are asked for."""

    product_id: Id
    available: Count
    requested: Count | None = None
    """Left out where it would be 2^53 or more."""


class InvalidCoupon(Refusal, frozen=True):
    """The coupon can't be used for this order; `reason` says why."""

    coupon_id: Id
    reason: CouponProblem
    amount: Money | None = None
    min_amount: Money | None = None


class CouponsSoldOut(Refusal, frozen=True):
    """Every coupon there was has been issued."""

    campaign_id: Id | None = None


class CouponAlreadyClaimed(Refusal, frozen=True):
    """The user has a coupon of this campaign already; there is one for each user."""

    campaign_id: Id
    coupon_id: Id


class CampaignNotOpen(Refusal, frozen=True):
    """The campaign has not opened yet, or is over."""

    campaign_id: Id
    opens_at: Timestamp
    closes_at: Timestamp | None


class OrderAlreadyCancelled(Refusal, frozen=True):
    """The order was cancelled before; its money and stock went back then."""

    order_id: Id
    cancelled_at: Timestamp | None


class LimitExceeded(Refusal, frozen=True):
    """A balance or a stock would reach 2^53, more than any client could read exactly."""

    limit_of: Literal["balance", "stock"]


class KeyReused(Refusal, frozen=True):
    """The Idempotency-Key was used for another request. Take a new key for a new request."""
