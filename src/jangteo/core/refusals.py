"""Refusals: every reason for which a command is refused.

A refusal is a value with the facts a client needs. It changes nothing and knows nothing of HTTP.
The docstring of a refusal is its explanation to clients.
"""

from typing import Literal

from msgspec import Struct

from jangteo.core.limits import Count, Id, Money, Timestamp

CouponProblem = Literal["unknown", "used", "expired", "below-minimum"]


class Refusal(Struct, frozen=True, rename="camel", omit_defaults=True):
    """The command was refused and changed nothing."""


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
    """The product has fewer units left than were requested."""

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
    """All coupons have been claimed."""

    campaign_id: Id | None = None


class CouponAlreadyClaimed(Refusal, frozen=True):
    """The user has already claimed a coupon of this campaign; each user gets one."""

    campaign_id: Id
    coupon_id: Id


class CampaignNotOpen(Refusal, frozen=True):
    """The campaign has not opened yet, or is over."""

    campaign_id: Id
    opens_at: Timestamp
    closes_at: Timestamp | None


class NeverOpen(Refusal, frozen=True):
    """The campaign would close before it opens, or at the same moment. Without `opensAt` it opens at once."""

    field: Literal["closesAt"]
    opens_at: Timestamp
    closes_at: Timestamp


class KeyNotFound(Refusal, frozen=True):
    """There is no API key with this id."""

    key_id: Id


class NeverValid(Refusal, frozen=True):
    """The key would have ended before it is created."""

    field: Literal["endsAt"]
    ends_at: Timestamp


class OrderAlreadyCancelled(Refusal, frozen=True):
    """The order is already cancelled; its money and stock were returned then."""

    order_id: Id
    cancelled_at: Timestamp | None


class LimitExceeded(Refusal, frozen=True):
    """A balance or a stock would reach 2^53, more than any client could read exactly."""

    limit_of: Literal["balance", "stock"]


class KeyReused(Refusal, frozen=True):
    """The Idempotency-Key was used for a different request. Use a new key for each new request."""
