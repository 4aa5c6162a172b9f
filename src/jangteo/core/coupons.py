"""First-come-first-served coupons: campaigns, claims, and the discount a coupon gives an order."""

from datetime import datetime, timedelta

from msgspec import Struct, to_builtins
from msgspec.structs import replace

from jangteo.core.book import Book, Command, Needs
from jangteo.core.entities import Campaign, Coupon, CouponStatus, CouponTerms
from jangteo.core.limits import (
    Count,
    Days,
    Id,
    Money,
    Percent,
    PositiveCount,
    PositiveMoney,
    Timestamp,
)
from jangteo.core.refusals import (
    CampaignNotFound,
    CampaignNotOpen,
    CouponAlreadyClaimed,
    CouponProblem,
    CouponsSoldOut,
    NeverOpen,
    UserNotFound,
)


class CampaignStanding(Struct, frozen=True, rename="camel"):
    """A campaign with the numbers of its issued and remaining coupons."""

    campaign_id: Id
    name: str
    discount: PositiveMoney | None
    percent: Percent | None
    max_discount: PositiveMoney | None
    min_amount: Money
    quantity: PositiveCount
    issued: Count
    remaining: Count
    opens_at: Timestamp
    closes_at: Timestamp | None
    coupon_valid_days: Days | None
    created_at: Timestamp


class HeldCoupon(Struct, frozen=True, rename="camel"):
    """A user's coupon. The discount of a percentage coupon is null until an order uses it."""

    coupon_id: Id
    campaign_id: Id
    user_id: Id
    discount: Money | None
    percent: Percent | None
    max_discount: PositiveMoney | None
    min_amount: Money
    status: CouponStatus
    claimed_at: Timestamp
    expires_at: Timestamp | None
    order_id: Id | None


def standing_of(campaign: Campaign) -> CampaignStanding:
    """Return what clients see of a campaign."""
    terms = campaign.terms
    return CampaignStanding(
        campaign_id=campaign.campaign_id,
        name=campaign.name,
        discount=terms.discount,
        percent=terms.percent,
        max_discount=terms.max_discount,
        min_amount=terms.min_amount,
        quantity=campaign.quantity,
        issued=campaign.issued,
        remaining=campaign.quantity - campaign.issued,
        opens_at=campaign.opens_at,
        closes_at=campaign.closes_at,
        coupon_valid_days=campaign.coupon_valid_days,
        created_at=campaign.created_at,
    )


def held_coupon(coupon: Coupon, now: datetime, used_discount: int | None = None) -> HeldCoupon:
    """Return what clients see of a coupon; `used_discount` is the discount of the order that used it."""
    terms = coupon.terms
    discount = terms.discount if terms.percent is None else used_discount
    return HeldCoupon(
        coupon_id=coupon.coupon_id,
        campaign_id=coupon.campaign_id,
        user_id=coupon.user_id,
        discount=discount,
        percent=terms.percent,
        max_discount=terms.max_discount,
        min_amount=terms.min_amount,
        status=status_of(coupon, now),
        claimed_at=coupon.claimed_at,
        expires_at=coupon.expires_at,
        order_id=coupon.order_id,
    )


def status_of(coupon: Coupon, now: datetime) -> CouponStatus:
    """Return a coupon's status. A used coupon stays `used` after its expiry."""
    if coupon.order_id is not None:
        return "used"
    if coupon.expires_at is not None and coupon.expires_at <= now:
        return "expired"
    return "usable"


def problem_with(coupon: Coupon | None, user_id: int, amount: int, now: datetime) -> CouponProblem | None:
    """Return why this user can't use the coupon for an order of this amount; None if it can be used.

    Another user's coupon is reported as unknown, so that nobody learns about the coupons of others.
    """
    if coupon is None or coupon.user_id != user_id:
        return "unknown"
    status = status_of(coupon, now)
    if status != "usable":
        return status
    if amount < coupon.terms.min_amount:
        return "below-minimum"
    return None


def discount_on(terms: CouponTerms, amount: int) -> int:
    """Return the discount on an amount, both in minor units.

    It is never more than the amount; percentages are rounded down to whole units.
    """
    if terms.percent is None:
        return min(terms.discount or 0, amount)
    discount = amount * terms.percent // 100
    return discount if terms.max_discount is None else min(discount, terms.max_discount)


def is_open(campaign: Campaign, now: datetime) -> bool:
    """Whether coupons can be claimed at `now`: `opens_at` is included, `closes_at` is not."""
    return campaign.opens_at <= now and (campaign.closes_at is None or now < campaign.closes_at)


class StartCampaign(Command, frozen=True):
    """Start a campaign. Without `opens_at` it opens now; without `closes_at` it stays open."""

    name: str
    terms: CouponTerms
    quantity: int
    opens_at: datetime | None
    closes_at: datetime | None
    coupon_valid_days: int | None

    def name_needs(self, needs: Needs) -> None:
        """Need one new campaign id."""
        needs.new_campaigns += 1

    def decide(self, book: Book) -> CampaignStanding | NeverOpen:
        """Create the campaign. Refused with NeverOpen if it would close before it opens."""
        opens_at = book.now if self.opens_at is None else self.opens_at
        if self.closes_at is not None and self.closes_at <= opens_at:
            return NeverOpen("closesAt", opens_at, self.closes_at)
        campaign = Campaign(
            campaign_id=next(book.campaigns.new_ids),
            name=self.name,
            terms=self.terms,
            quantity=self.quantity,
            issued=0,
            opens_at=opens_at,
            closes_at=self.closes_at,
            coupon_valid_days=self.coupon_valid_days,
            created_at=book.now,
        )
        book.campaigns.put(campaign.campaign_id, campaign)
        book.record_change("campaign", campaign.campaign_id, "added", _values_of(campaign))
        return standing_of(campaign)


class ClaimCoupon(Command, frozen=True):
    """Claim a coupon for a user.

    Without a campaign it is one of the open campaign with the lowest id that has coupons left.
    """

    user_id: Id
    campaign_id: Id | None

    def name_needs(self, needs: Needs) -> None:
        """Need the user, the campaign or the open campaigns, the user's earlier claims, and one new coupon id."""
        needs.users.add(self.user_id)
        needs.claimants.add(self.user_id)
        needs.new_coupons += 1
        if self.campaign_id is None:
            needs.open_campaigns += 1
        else:
            needs.campaigns.add(self.campaign_id)

    def decide(
        self, book: Book
    ) -> HeldCoupon | UserNotFound | CampaignNotFound | CampaignNotOpen | CouponAlreadyClaimed | CouponsSoldOut:
        """Issue the coupon.

        Refused, in this order, with UserNotFound, CampaignNotFound, CampaignNotOpen, CouponAlreadyClaimed,
        CouponsSoldOut.
        """
        if book.wallets.get(self.user_id) is None:
            return UserNotFound(self.user_id)
        campaign = self._campaign(book)
        if campaign is None:
            return CouponsSoldOut() if self.campaign_id is None else CampaignNotFound(self.campaign_id)
        if not is_open(campaign, book.now):
            return CampaignNotOpen(campaign.campaign_id, campaign.opens_at, campaign.closes_at)
        claimed = book.claims.get((self.user_id, campaign.campaign_id))
        if claimed is not None:
            return CouponAlreadyClaimed(campaign.campaign_id, claimed)
        if campaign.issued >= campaign.quantity:
            return CouponsSoldOut(campaign.campaign_id)
        return held_coupon(_issue(campaign, self.user_id, book), book.now)

    def _campaign(self, book: Book) -> Campaign | None:
        if self.campaign_id is not None:
            return book.campaigns.get(self.campaign_id)
        available = (
            campaign
            for campaign in book.campaigns.rows.values()
            if campaign.issued < campaign.quantity and is_open(campaign, book.now)
        )
        return min(available, key=lambda campaign: campaign.campaign_id, default=None)


def _values_of(campaign: Campaign) -> dict[str, str | int | None]:
    """Return what was set of a campaign, by the API's names; nothing for what has no value."""
    standing = to_builtins(standing_of(campaign))
    kept = ("campaignId", "issued", "remaining", "createdAt")
    return {name: value for name, value in standing.items() if name not in kept and value is not None}


def _issue(campaign: Campaign, user_id: int, book: Book) -> Coupon:
    days = campaign.coupon_valid_days
    coupon = Coupon(
        coupon_id=next(book.coupons.new_ids),
        campaign_id=campaign.campaign_id,
        user_id=user_id,
        terms=campaign.terms,
        claimed_at=book.now,
        expires_at=None if days is None else book.now + timedelta(days=days),
        order_id=None,
    )
    book.campaigns.put(campaign.campaign_id, replace(campaign, issued=campaign.issued + 1))
    book.coupons.put(coupon.coupon_id, coupon)
    book.claims[user_id, campaign.campaign_id] = coupon.coupon_id
    return coupon
