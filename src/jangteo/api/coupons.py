"""Campaigns and coupons over HTTP."""

from datetime import UTC, datetime

from msgspec import UNSET

from jangteo.api.bodies import Body, OwnId, given
from jangteo.core.coupons import CampaignStanding, ClaimCoupon, HeldCoupon, StartCampaign
from jangteo.core.entities import CatalogChange, CouponTerms
from jangteo.core.limits import Days, Id, Money, Name, Percent, PositiveCount, PositiveMoney, Timestamp
from jangteo.core.refusals import CampaignNotFound, UserNotFound
from jangteo.storage import catalog_changes, coupons
from jangteo.storage.port import Page, Query


class NewCampaign(Body):
    """Terms of the coupons: a fixed `discount`, or a `percent` with an optional `maxDiscount`."""

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
        """Check the fields against each other. Raises ValueError with a text that begins with the wrong field."""
        if (self.discount is None) == (self.percent is None):
            raise ValueError("`discount` or `percent` must be given, but not both")
        if self.max_discount is not None and self.percent is None:
            raise ValueError("`maxDiscount` needs `percent`")
        self.opens_at = _in_utc("opensAt", self.opens_at)
        self.closes_at = _in_utc("closesAt", self.closes_at)


class Claim(Body):
    """The user, and the campaign. Without a campaign: the first open one that has coupons left."""

    user_id: OwnId = UNSET
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
    return ClaimCoupon(given(body.user_id), body.campaign_id)


def read_campaign(campaign_id: int) -> Query[CampaignStanding | CampaignNotFound]:
    """Read a campaign with the number of its remaining coupons."""
    return Query(coupons.read_campaign, (campaign_id,))


def list_campaigns(limit: int, after: int | None) -> Query[Page[CampaignStanding]]:
    """List the campaigns in order of their ids."""
    return Query(coupons.read_campaigns, (limit, after))


def list_changes_of_campaign(
    campaign_id: int, limit: int, after: int | None
) -> Query[Page[CatalogChange] | CampaignNotFound]:
    """List what was set of a campaign and by whom, newest first."""
    return Query(catalog_changes.read_changes_of_campaign, (campaign_id, limit, after), cost="page")


def list_coupons_of(user_id: int, limit: int, after: int | None) -> Query[Page[HeldCoupon] | UserNotFound]:
    """List a user's coupons in the order they were claimed."""
    return Query(coupons.read_coupons_of, (user_id, limit, after))


def _in_utc(name: str, timestamp: datetime | None) -> datetime | None:
    try:
        return None if timestamp is None else timestamp.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"`{name}` is out of range") from None
