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
from jangteo.storage.shared_reads import SharedRead, Steps
from jangteo.storage.timestamps import from_micros, from_micros_or_none, to_micros, to_micros_or_none
from jangteo.storage.wallets import find_user

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
    """Load and lock the named campaigns, and the open ones that claims without a campaign may use.

    Each claim takes at most one coupon, so one campaign more than there are such claims is always enough.
    Raises Conflict if other campaigns are open once these are locked.
    """
    ids = needs.campaigns | _open_campaigns(session, needs, now)
    if not ids:
        return ()
    sql = f"SELECT {_CAMPAIGN_COLUMNS} FROM campaigns WHERE id IN (:ids) ORDER BY id"
    rows = session.lock(schema.campaigns, sql, ids)
    if not _open_campaigns(session, needs, now) <= ids:
        # Before they were locked, another transaction issued the last coupon of one of them: others are next now.
        raise Conflict("the open campaigns changed before they were locked")
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
    """Load these users' claims: (user id, campaign id) and the coupon's id."""
    # No lock: the campaigns are locked, so no other transaction can claim. No ORDER BY: with one, PostgreSQL may scan
    # all coupons in that order if it estimates that there are few.
    rows = session.find("SELECT user_id, campaign_id, id FROM coupons WHERE user_id IN (:ids)", user_ids)
    return (((user, campaign), coupon) for user, campaign, coupon in rows)


def load(session: Session, coupon_ids: Collection[int]) -> Iterable[tuple[int, Coupon]]:
    """Load and lock the coupons that exist, with the terms of their campaigns."""
    sql = f"""
        SELECT {_COUPON_COLUMNS} FROM coupons JOIN campaigns ON campaigns.id = coupons.campaign_id
        WHERE coupons.id IN (:ids) ORDER BY coupons.id
    """
    return ((row[0], _coupon(row)) for row in session.lock(schema.coupons, sql, coupon_ids))


def save_campaigns(session: Session, book: Book) -> None:
    """Write new campaigns, and the numbers of issued coupons."""
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
    """Write new coupons, and which orders use which coupons."""
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


@SharedRead
def read_campaign(snapshot: Snapshot, campaign_id: int) -> Steps[CampaignStanding | CampaignNotFound]:
    """Read one campaign."""
    found = snapshot.look_up(f"SELECT {_CAMPAIGN_COLUMNS} FROM campaigns WHERE id IN (:ids)", campaign_id)
    yield
    for row in found:
        return standing_of(_campaign(row))
    return CampaignNotFound(campaign_id)


@SharedRead
def read_campaigns(snapshot: Snapshot, limit: int, after: int | None) -> Steps[Page[CampaignStanding]]:
    """Read a page of campaigns, by id, starting after `after`."""
    rows = snapshot.send(
        f"SELECT {_CAMPAIGN_COLUMNS} FROM campaigns WHERE id > :after ORDER BY id LIMIT :count",
        after=after or 0,
        count=limit + 1,
    )
    yield
    return paginate(list(rows), limit, lambda row: standing_of(_campaign(row)))


@SharedRead
def read_coupons_of(
    snapshot: Snapshot, user_id: int, limit: int, after: int | None
) -> Steps[Page[HeldCoupon] | UserNotFound]:
    """Read a page of a user's coupons in the order of their claims, starting after the coupon `after`."""
    users = find_user(snapshot, user_id)
    rows = snapshot.send(
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
    yield
    if not any(users):
        return UserNotFound(user_id)
    return paginate(list(rows), limit, lambda row: held_coupon(_coupon(row), snapshot.now, row[10]))


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
