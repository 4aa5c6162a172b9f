"""Campaigns and coupons in SQL."""

from collections.abc import Collection, Iterable
from datetime import datetime

from jangteo.core.book import Book, Needs
from jangteo.core.coupons import CampaignStanding, HeldCoupon, held_coupon, standing_of
from jangteo.core.entities import Campaign, Coupon, CouponTerms
from jangteo.core.refusals import CampaignNotFound, UserNotFound
from jangteo.storage import schema
from jangteo.storage.errors import Conflict
from jangteo.storage.pagination import paginate
from jangteo.storage.port import GuardedChange, Insert, Page, Row, Session, Snapshot
from jangteo.storage.timestamps import from_micros, from_micros_or_none, to_micros, to_micros_or_none
from jangteo.storage.wallets import user_exists

_NEW_CAMPAIGNS = Insert(
    schema.campaigns,
    (
        "id",
        "name",
        "discount",
        "percent",
        "max_discount",
        "min_amount",
        "quantity",
        "issued",
        "opens_at",
        "closes_at",
        "coupon_valid_days",
        "created_at",
    ),
)
_ISSUED = GuardedChange(schema.campaigns, ("issued",), ("issued",))
_NEW_COUPONS = Insert(schema.coupons, ("id", "campaign_id", "user_id", "claimed_at", "expires_at", "order_id"))
_USED = GuardedChange(schema.coupons, ("order_id",), ("order_id",))

_CAMPAIGN_COLUMNS = """
    id, name, discount, percent, max_discount, min_amount,
    quantity, issued, opens_at, closes_at, coupon_valid_days, created_at
"""
_COUPON_COLUMNS = """
    coupons.id, coupons.campaign_id, coupons.user_id,
    campaigns.discount, campaigns.percent, campaigns.max_discount, campaigns.min_amount,
    coupons.claimed_at, coupons.expires_at, coupons.order_id
"""


def load_campaigns(session: Session, needs: Needs, now: datetime) -> Iterable[tuple[int, Campaign]]:
    """The campaigns that are named, and the open ones that unnamed claims of this batch can get to.

    Each claim uses up one coupon at most, so one campaign more than there are claims is always enough.
    """
    ids = needs.campaigns | _open_campaigns(session, needs, now)
    if not ids:
        return ()
    sql = f"SELECT {_CAMPAIGN_COLUMNS} FROM campaigns WHERE id IN (:ids) ORDER BY id"
    rows = session.lock(schema.campaigns, sql, ids)
    if not _open_campaigns(session, needs, now) <= ids:
        # Another transaction has used up one of these before they were held: there may be others now.
        raise Conflict("other campaigns are open than a moment ago")
    return ((row[0], _campaign(row)) for row in rows)


def _open_campaigns(session: Session, needs: Needs, now: datetime) -> set[int]:
    if not needs.open_campaigns:
        return set()
    rows = session.rows(
        """
        SELECT id FROM campaigns
        WHERE issued < quantity AND opens_at <= :now AND (closes_at IS NULL OR closes_at > :now)
        ORDER BY id LIMIT :count
        """,
        now=to_micros(now),
        count=needs.open_campaigns + 1,
    )
    return {row[0] for row in rows}


def load_claims(session: Session, user_ids: Collection[int]) -> Iterable[tuple[tuple[int, int], int]]:
    """What these users have claimed: (user, campaign) and the coupon."""
    # Whoever has the campaigns held needs nothing else to be held: nobody else can claim meanwhile. In no order: asked
    # for one, PostgreSQL would rather look through all coupons in it, where it thinks that there are few.
    rows = session.find("SELECT user_id, campaign_id, id FROM coupons WHERE user_id IN (:ids)", user_ids)
    return (((user, campaign), coupon) for user, campaign, coupon in rows)


def load(session: Session, coupon_ids: Collection[int]) -> Iterable[tuple[int, Coupon]]:
    """These coupons, as far as they exist, with the terms of their campaigns."""
    sql = f"""
        SELECT {_COUPON_COLUMNS} FROM coupons JOIN campaigns ON campaigns.id = coupons.campaign_id
        WHERE coupons.id IN (:ids) ORDER BY coupons.id
    """
    return ((row[0], _coupon(row)) for row in session.lock(schema.coupons, sql, coupon_ids))


def save_campaigns(session: Session, book: Book) -> None:
    """New campaigns, and how many coupons are issued."""
    added = book.campaigns.added()
    if added:
        session.insert(_NEW_CAMPAIGNS, [_campaign_row(new) for new in added])
    replaced = book.campaigns.replaced()
    if replaced:
        session.change(
            _ISSUED,
            [(after.issued, after.campaign_id, before.issued) for before, after in replaced],
        )


def save(session: Session, book: Book) -> None:
    """New coupons, and which orders used which."""
    added = book.coupons.added()
    if added:
        session.insert(
            _NEW_COUPONS,
            [
                (
                    new.coupon_id,
                    new.campaign_id,
                    new.user_id,
                    to_micros(new.claimed_at),
                    to_micros_or_none(new.expires_at),
                    new.order_id,
                )
                for new in added
            ],
        )
    replaced = book.coupons.replaced()
    if replaced:
        session.change(
            _USED,
            [(after.order_id, after.coupon_id, before.order_id) for before, after in replaced],
        )


def read_campaign(snapshot: Snapshot, campaign_id: int) -> CampaignStanding | CampaignNotFound:
    """One campaign."""
    rows = snapshot.rows(
        f"SELECT {_CAMPAIGN_COLUMNS} FROM campaigns WHERE id = :campaign_id",
        campaign_id=campaign_id,
    )
    return standing_of(_campaign(rows[0])) if rows else CampaignNotFound(campaign_id)


def read_campaigns(snapshot: Snapshot, limit: int, after: int | None) -> Page[CampaignStanding]:
    """The campaigns by id, from behind `after` on."""
    rows = snapshot.rows(
        f"SELECT {_CAMPAIGN_COLUMNS} FROM campaigns WHERE id > :after ORDER BY id LIMIT :count",
        after=after or 0,
        count=limit + 1,
    )
    return paginate(rows, limit, lambda row: standing_of(_campaign(row)))


def read_coupons_of(snapshot: Snapshot, user_id: int, limit: int, after: int | None) -> Page[HeldCoupon] | UserNotFound:
    """A user's coupons in the order they were claimed, from behind `after` on."""
    if not user_exists(snapshot, user_id):
        return UserNotFound(user_id)
    rows = snapshot.rows(
        f"""
        SELECT {_COUPON_COLUMNS}, orders.discount
        FROM coupons
        JOIN campaigns ON campaigns.id = coupons.campaign_id
        LEFT JOIN orders ON orders.id = coupons.order_id
        WHERE coupons.user_id = :user_id AND coupons.id > :after
        ORDER BY coupons.id LIMIT :count
        """,
        user_id=user_id,
        after=after or 0,
        count=limit + 1,
    )
    return paginate(rows, limit, lambda row: held_coupon(_coupon(row), snapshot.now, row[10]))


def _campaign(row: Row) -> Campaign:
    return Campaign(
        campaign_id=row[0],
        name=row[1],
        terms=CouponTerms(*row[2:6]),
        quantity=row[6],
        issued=row[7],
        opens_at=from_micros(row[8]),
        closes_at=from_micros_or_none(row[9]),
        coupon_valid_days=row[10],
        created_at=from_micros(row[11]),
    )


def _campaign_row(campaign: Campaign) -> Row:
    terms = campaign.terms
    return (
        campaign.campaign_id,
        campaign.name,
        terms.discount,
        terms.percent,
        terms.max_discount,
        terms.min_amount,
        campaign.quantity,
        campaign.issued,
        to_micros(campaign.opens_at),
        to_micros_or_none(campaign.closes_at),
        campaign.coupon_valid_days,
        to_micros(campaign.created_at),
    )


def _coupon(row: Row) -> Coupon:
    return Coupon(
        coupon_id=row[0],
        campaign_id=row[1],
        user_id=row[2],
        terms=CouponTerms(*row[3:7]),
        claimed_at=from_micros(row[7]),
        expires_at=from_micros_or_none(row[8]),
        order_id=row[9],
    )
