"""The things a shop keeps, as values: a row is never changed, it is replaced by another.

Their field names are the contract's (camelCase in JSON), so what core decides is what a client reads.
What a row is made of in a database belongs to the storage room.
"""

from datetime import datetime
from typing import Literal

from msgspec import Struct

from jangteo.core.limits import (
    Change,
    Count,
    Id,
    Money,
    Percent,
    PositiveCount,
    PositiveMoney,
    Timestamp,
)

OrderStatus = Literal["paid", "cancelled"]
LedgerKind = Literal["charge", "payment", "refund"]
CouponStatus = Literal["usable", "used", "expired"]
WindowState = Literal["active", "backfilling", "retired"]


class Wallet(Struct, frozen=True):
    """A user's prepaid balance: always the sum of the user's ledger entries, of which `last_entry` is the newest."""

    user_id: int
    balance: int
    last_entry: int | None = None


class LedgerEntry(Struct, frozen=True, rename="camel"):
    """One change of one balance, never altered afterwards. Payments are negative.

    A user's entries are a chain: each names the one before it.
    """

    entry_id: Id
    user_id: Id
    previous_entry_id: Id | None
    kind: LedgerKind
    amount: Change
    balance_after: Money
    order_id: Id | None
    created_at: Timestamp


class Product(Struct, frozen=True, rename="camel"):
    """What is for sale, at its price of this moment, and exactly how many are left."""

    id: Id
    name: str
    price: Money
    stock: Count


class StockMovement(Struct, frozen=True):
    """Stock put in (or, negative, taken away) by hand. Orders are not movements: their lines say what was sold."""

    product_id: int
    quantity: int
    created_at: Timestamp


class CouponTerms(Struct, frozen=True, rename="camel"):
    """What a coupon takes off: `discount` (fixed) or `percent` (at most `max_discount`), from `min_amount` on."""

    discount: PositiveMoney | None
    percent: Percent | None
    max_discount: PositiveMoney | None
    min_amount: Money


class Campaign(Struct, frozen=True, rename="camel"):
    """A number of coupons on the same terms, first come, first served."""

    campaign_id: Id
    name: str
    terms: CouponTerms
    quantity: PositiveCount
    issued: Count
    opens_at: Timestamp
    closes_at: Timestamp | None
    coupon_valid_days: int | None
    created_at: Timestamp


class Coupon(Struct, frozen=True, rename="camel"):
    """One user's coupon of one campaign. `order_id` is the paid order that used it, if one did."""

    coupon_id: Id
    campaign_id: Id
    user_id: Id
    terms: CouponTerms
    claimed_at: Timestamp
    expires_at: Timestamp | None
    order_id: Id | None


class OrderItem(Struct, frozen=True, rename="camel"):
    """How many of one product, at the unit price of the moment of the order."""

    product_id: Id
    quantity: PositiveCount
    unit_price: Money
    amount: Money


class Order(Struct, frozen=True, rename="camel", omit_defaults=True):
    """A paid order, or one cancelled since. `total` = `amount` - `discount` is what the balance paid."""

    order_id: Id
    user_id: Id
    status: OrderStatus
    items: tuple[OrderItem, ...]
    amount: Money
    discount: Money
    total: Money
    coupon_id: Id | None
    created_at: Timestamp
    cancelled_at: Timestamp | None = None


class Lease(Struct, frozen=True):
    """Which relay may send to the platform, and until when no other may."""

    lease_id: int
    holder: str
    expires_at: datetime


class BestSeller(Struct, frozen=True, rename="camel"):
    """A product as it stands now, and how many of it were sold within the window."""

    id: Id
    name: str
    price: Money
    stock: Count
    sold: PositiveCount


class Window(Struct, frozen=True):
    """The best-seller view of the last `days` times 24 hours: units by product, sold later than `since`.

    `since` trails the window's start until a refresh moves it.
    """

    window_id: int
    days: int
    since: datetime
    state: WindowState
    """Queries read active windows, a backfill fills one from the orders, and refreshes delete retired ones."""
    started_at: datetime
    requested_at: datetime
    """When a client last requested it, recorded about once an hour."""
    heartbeat_at: datetime | None = None
    """The last heartbeat of its backfill. None unless it is backfilling."""


class Bucket(Struct, frozen=True):
    """The units of products with neighbouring ids within one window, in order of id. Zeros at the end are left out."""

    window_id: int
    number: int
    units: tuple[int, ...]


class Refresh(Struct, frozen=True, omit_defaults=True):
    """What one refresh of the best sellers writes."""

    applied_deltas: tuple[int, ...] = ()
    """Ids of the deltas that the buckets now contain; they are deleted."""
    new_windows: tuple[Window, ...] = ()
    changed_windows: tuple[Window, ...] = ()
    removed_windows: tuple[int, ...] = ()
    new_buckets: tuple[Bucket, ...] = ()
    changed_buckets: tuple[Bucket, ...] = ()
    removed_buckets: tuple[tuple[int, int], ...] = ()
    """(window id, bucket number) of each."""


class FailedEvent(Struct, frozen=True):
    """An event that the platform didn't take for what it is, or that waits for another of its order that it didn't."""

    event: int
    """Its place in the outbox."""
    order_id: int
    attempts: int
    reason: str
    next_attempt_in_s: float | None
    """None: it is set aside until an operator asks for it."""
