"""Entities: what a shop keeps, as immutable values.

Money is in the currency's minor unit, timestamps are in UTC. Field names are those of the API (camelCase in JSON), so a
client reads exactly what core decided. The columns of the tables belong to `storage`.
"""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from jangteo.core.actors import Actor
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
CatalogSubject = Literal["product", "campaign"]
WindowState = Literal["active", "backfilling", "retired"]


class Wallet(Struct, frozen=True, gc=False):
    """A user's prepaid balance. It always equals the sum of the user's ledger entries."""

    user_id: int
    balance: int
    """In minor units, never negative."""
    last_entry: int | None = None
    """The id of the user's newest ledger entry; None before the first."""


class LedgerEntry(Struct, frozen=True, rename="camel", gc=False):
    """One change of one balance. It is never altered afterwards.

    A user's entries form a chain: each names its predecessor.
    """

    entry_id: Id
    user_id: Id
    previous_entry_id: Id | None
    """The user's entry before this one; None for the first."""
    kind: LedgerKind
    amount: Change
    """What was added to the balance, in minor units; negative for a payment."""
    balance_after: Money
    order_id: Id | None
    """The order that was paid or refunded; None for a charge."""
    created_at: Timestamp
    actor: Actor


class Product(Struct, frozen=True, rename="camel", gc=False):
    """A product with its current price and its exact stock."""

    id: Id
    name: str
    price: Money
    """Per unit, in minor units."""
    stock: Count
    """Units left to sell."""


class StockMovement(Struct, frozen=True, rename="camel"):
    """A change of stock by hand. Orders are not movements: their items record what was sold."""

    product_id: Id
    quantity: Change
    """Units added; negative where units were removed."""
    created_at: Timestamp
    actor: Actor
    movement_id: Id | UnsetType = UNSET
    """Given when it is stored."""


class CatalogChange(Struct, frozen=True, rename="camel"):
    """What was set of a product or a campaign, and who did it: when it was added, and whenever it was changed."""

    subject: CatalogSubject
    subject_id: Id
    kind: Literal["added", "changed"]
    values: dict[str, str | int | None]
    """The new values by the names of their fields."""
    created_at: Timestamp
    actor: Actor
    change_id: Id | UnsetType = UNSET
    """Given when it is stored."""


class CouponTerms(Struct, frozen=True, rename="camel"):
    """The discount a coupon gives: either a fixed `discount` or a `percent` of the order's amount."""

    discount: PositiveMoney | None
    """In minor units; None where the discount is a percentage."""
    percent: Percent | None
    """Whole percent; None where the discount is fixed."""
    max_discount: PositiveMoney | None
    """The largest discount of a percentage, in minor units; None: no maximum."""
    min_amount: Money
    """The smallest order amount the coupon is valid for, in minor units."""


class Campaign(Struct, frozen=True, rename="camel"):
    """A limited number of coupons on the same terms, first come, first served."""

    campaign_id: Id
    name: str
    terms: CouponTerms
    quantity: PositiveCount
    """How many coupons there are to claim."""
    issued: Count
    """How many coupons have been claimed."""
    opens_at: Timestamp
    closes_at: Timestamp | None
    """The first timestamp at which claims are refused; None: the campaign stays open."""
    coupon_valid_days: int | None
    """How many days a coupon is valid from its claim; None: it never expires."""
    created_at: Timestamp


class Coupon(Struct, frozen=True, rename="camel"):
    """One user's coupon of one campaign."""

    coupon_id: Id
    campaign_id: Id
    user_id: Id
    terms: CouponTerms
    claimed_at: Timestamp
    expires_at: Timestamp | None
    """The first timestamp at which the coupon can't be used any more; None: it never expires."""
    order_id: Id | None
    """The paid order that used the coupon; None while no order does."""


class OrderItem(Struct, frozen=True, rename="camel", gc=False):
    """A quantity of one product, at its price when the order was placed."""

    product_id: Id
    quantity: PositiveCount
    unit_price: Money
    """In minor units."""
    amount: Money
    """`quantity` times `unit_price`, in minor units."""


class Order(Struct, frozen=True, rename="camel", omit_defaults=True, gc=False):
    """A paid order, or one that was cancelled later."""

    order_id: Id
    user_id: Id
    status: OrderStatus
    items: tuple[OrderItem, ...]
    amount: Money
    """The sum of the items' amounts, in minor units."""
    discount: Money
    """What the coupon took off, in minor units."""
    total: Money
    """What was paid from the balance: `amount` less `discount`."""
    coupon_id: Id | None
    """The coupon that was used; it stays named after a cancellation has given it back."""
    created_at: Timestamp
    cancelled_at: Timestamp | None = None
    actor: Actor | UnsetType = UNSET
    """Who placed it. Events from before orders had actors have none."""
    cancelled_by: Actor | None = None
    """Who cancelled it; None while nobody has."""


class ApiKey(Struct, frozen=True):
    """An API key of the shop, without its secret."""

    key_id: int
    name: str
    scopes: tuple[str, ...]
    digest: str
    """The secret's SHA-256, in hexadecimal digits."""
    created_at: datetime
    created_by: str
    ends_at: datetime | None
    """The first timestamp at which it is refused; None: it doesn't end."""
    revoked_at: datetime | None = None
    revoked_by: str | None = None
    last_used_at: datetime | None = None
    """To the minute; None before its first use."""


class Lease(Struct, frozen=True):
    """The right of one relay to send to the platform."""

    lease_id: int
    holder: str
    """The name of the relay that holds the lease."""
    expires_at: datetime
    """From then on another relay may acquire it."""


class BestSeller(Struct, frozen=True, rename="camel"):
    """A product with its current price and stock, and the units sold within the window."""

    id: Id
    name: str
    price: Money
    stock: Count
    sold: Annotated[PositiveCount, Meta(description="Units sold. 9007199254740991 means that many or more.")]


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
    max_units: int
    """The largest of the units, 2^53 - 1 at most."""
    units: str
    """A JSON array, as it is stored. A number in it may be larger than those MessagePack has."""


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
    """An event that the platform rejected, or that waits for a failed event of the same order."""

    outbox_id: int
    order_id: int
    attempts: int
    """How often it was sent; 0 while it only waits for another."""
    reason: str
    next_attempt_in_s: float | None
    """None: it is a dead letter until an operator retries it."""
