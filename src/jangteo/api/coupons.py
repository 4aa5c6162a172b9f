"""Campaigns and coupons over HTTP."""

from datetime import UTC, datetime

from jangteo.api.bodies import Body
from jangteo.core.coupons import CampaignStanding, ClaimCoupon, HeldCoupon, StartCampaign
from jangteo.core.entities import CouponTerms
from jangteo.core.limits import Days, Id, Money, Name, Percent, PositiveCount, PositiveMoney, Timestamp
from jangteo.core.refusals import CampaignNotFound, UserNotFound
from jangteo.storage import coupons
from jangteo.storage.port import Page, Query


class NewCampaign(Body):
    """Coupons to be issued: either a fixed `discount`, or a `percent` with an optional `maxDiscount`."""

    name: Name
    quantity: PositiveCount
    discount: PositiveMoney | None = None
    percent: Percent | None = None
    max_discount: PositiveMoney | None = None
    min_amount: Money = 0
    opens_at: Timestamp | None = None
    closes_at: Timestamp | None = None
    coupon_valid_days: Days | None = None

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        if (self.discount is None) == (self.percent is None):
            raise ValueError("`discount` or `percent` must be given, and not both")
        if self.max_discount is not None and self.percent is None:
            raise ValueError("`maxDiscount` goes only with `percent`")
        self.opens_at = _in_utc("opensAt", self.opens_at)
        self.closes_at = _in_utc("closesAt", self.closes_at)
        if self.opens_at and self.closes_at and self.closes_at <= self.opens_at:
            raise ValueError("`closesAt` must be later than `opensAt`")


class Claim(Body):
    """Who wants a coupon, and of which campaign: without one, of the first open one that has any."""

    user_id: Id
    campaign_id: Id | None = None


def start_campaign(body: NewCampaign) -> StartCampaign:
    """Start a campaign."""
    return StartCampaign(
        name=body.name,
        terms=CouponTerms(body.discount, body.percent, body.max_discount, body.min_amount),
        quantity=body.quantity,
        opens_at=body.opens_at,
        closes_at=body.closes_at,
        coupon_valid_days=body.coupon_valid_days,
    )


def claim_coupon(body: Claim) -> ClaimCoupon:
    """Claim a coupon, first come, first served."""
    return ClaimCoupon(body.user_id, body.campaign_id)


def read_campaign(campaign_id: int) -> Query[CampaignStanding | CampaignNotFound]:
    """Read a campaign, and how many of its coupons remain."""
    return Query(coupons.read_campaign, (campaign_id,))


def list_campaigns(limit: int, after: int | None) -> Query[Page[CampaignStanding]]:
    """List the campaigns by id."""
    return Query(coupons.read_campaigns, (limit, after))


def list_coupons_of(user_id: int, limit: int, after: int | None) -> Query[Page[HeldCoupon] | UserNotFound]:
    """List a user's coupons in the order they were claimed."""
    return Query(coupons.read_coupons_of, (user_id, limit, after))


def _in_utc(name: str, moment: datetime | None) -> datetime | None:
    try:
        return None if moment is None else moment.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"`{name}` is out of range") from None
