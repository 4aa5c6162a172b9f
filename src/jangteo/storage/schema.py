"""The tables. Moments are microseconds since 1970 in UTC, money is in minor units; every integer is a BIGINT.

The constraints are the second guard: core decides, and the database would refuse what core must never let through.
There are no foreign keys: a batch only names rows that it has loaded, none of those is ever deleted, and the audit
looks; checking each anew cost a tenth of the orders a second.
The migrations build these tables; a test holds the two against each other.
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Identity,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from jangteo.core.limits import LARGEST

metadata = MetaData()

# SQLite gives ids of its own only to a column spelled INTEGER.
WholeNumber = BigInteger().with_variant(Integer(), "sqlite")


def _number(name: str, *, null: bool = False) -> Column[int]:
    return Column(name, WholeNumber, nullable=null)


def _given_id() -> Column[int]:
    return Column("id", WholeNumber, primary_key=True, autoincrement=False)


def _known_id() -> Column[int]:
    """One that is not counted on: the table has one row, or it is another table's id."""
    return Column("id", WholeNumber, primary_key=True, autoincrement=False, info={"known": True})


def _own_id() -> Column[int]:
    return Column("id", WholeNumber, Identity(), primary_key=True)


def _within(column: str, lowest: int = 0) -> CheckConstraint:
    return CheckConstraint(f"{column} BETWEEN {lowest} AND {LARGEST}", name=f"{column}_in_range")


# The shop itself, in one row. Its name is a random one: with it, no event of one shop has the id of another's.
shops = Table(
    "shops",
    metadata,
    _known_id(),
    Column("name", Text, nullable=False),
)

users = Table(
    "users",
    metadata,
    _given_id(),
    Column("name", Text),
    _number("balance"),
    _number("last_entry", null=True),
    _number("created_at"),
    _within("balance"),
)

ledger_entries = Table(
    "ledger_entries",
    metadata,
    _given_id(),
    _number("user_id"),
    _number("previous", null=True),
    Column("kind", Text, nullable=False),
    _number("amount"),
    _number("balance_after"),
    _number("order_id", null=True),
    _number("created_at"),
    _within("balance_after"),
)

products = Table(
    "products",
    metadata,
    _given_id(),
    Column("name", Text, nullable=False),
    _number("price"),
    _number("stock"),
    _number("created_at"),
    _within("price"),
    _within("stock"),
)

stock_movements = Table(
    "stock_movements",
    metadata,
    _own_id(),
    _number("product_id"),
    _number("quantity"),
    _number("created_at"),
)

campaigns = Table(
    "campaigns",
    metadata,
    _given_id(),
    Column("name", Text, nullable=False),
    _number("discount", null=True),
    _number("percent", null=True),
    _number("max_discount", null=True),
    _number("min_amount"),
    _number("quantity"),
    _number("issued"),
    _number("opens_at"),
    _number("closes_at", null=True),
    _number("coupon_valid_days", null=True),
    _number("created_at"),
    _within("quantity", 1),
    CheckConstraint("issued BETWEEN 0 AND quantity", name="issued_in_range"),
    CheckConstraint("(discount IS NULL) <> (percent IS NULL)", name="discount_or_percent"),
)

coupons = Table(
    "coupons",
    metadata,
    _given_id(),
    _number("campaign_id"),
    _number("user_id"),
    _number("claimed_at"),
    _number("expires_at", null=True),
    _number("order_id", null=True),
    UniqueConstraint("campaign_id", "user_id", name="coupons_one_for_each_user"),
    Index("coupons_by_user", "user_id", "id"),
)

orders = Table(
    "orders",
    metadata,
    _given_id(),
    _number("user_id"),
    Column("status", Text, nullable=False),
    _number("amount"),
    _number("discount"),
    _number("total"),
    _number("coupon_id", null=True),
    _number("payment_entry"),
    _number("created_at"),
    _number("cancelled_at", null=True),
    _within("amount"),
    CheckConstraint("discount BETWEEN 0 AND amount", name="discount_in_range"),
    CheckConstraint("total = amount - discount", name="total_adds_up"),
    CheckConstraint("(status = 'cancelled') = (cancelled_at IS NOT NULL)", name="cancelled_has_moment"),
    CheckConstraint("status IN ('paid', 'cancelled')", name="status_known"),
    Index("orders_by_creation", "created_at"),
)

order_items = Table(
    "order_items",
    metadata,
    _number("order_id"),
    _number("position"),
    _number("product_id"),
    _number("quantity"),
    _number("unit_price"),
    PrimaryKeyConstraint("order_id", "position"),
    _within("quantity", 1),
    _within("unit_price"),
    sqlite_with_rowid=False,
)

outbox = Table(
    "outbox",
    metadata,
    _given_id(),
    _number("event_batch_id"),
    _number("order_id"),
    Column("type", Text, nullable=False),
    Column("event", Text, nullable=False),
)

# The events of one transaction. They are sent and marked together, so that what commits late is never skipped.
event_batches = Table(
    "event_batches",
    metadata,
    _given_id(),
    _number("first_event"),
    _number("last_event"),
    _number("created_at"),
    _number("sent_at", null=True),
    Index(
        "event_batches_waiting", "id", sqlite_where=text("sent_at IS NULL"), postgresql_where=text("sent_at IS NULL")
    ),
)

# Events that the platform rejects for what they are: to be tried again at some moment, or set aside without one.
failed_events = Table(
    "failed_events",
    metadata,
    _known_id(),
    _number("order_id"),
    _number("attempts"),
    Column("reason", Text, nullable=False),
    _number("failed_at"),
    _number("next_attempt_at", null=True),
    Index("failed_events_due", "next_attempt_at"),
    Index("failed_events_by_order", "order_id"),
)

# What an operator wants to be sent again: the events of a span of time, up to the event_batch that was the last one then.
replays = Table(
    "replays",
    metadata,
    _known_id(),
    _number("since"),
    _number("until"),
    _number("done_batch"),
    _number("last_batch"),
    _number("events"),
    _number("started_at"),
    _number("finished_at", null=True),
)

# Old events that were sent are purged: in one row how many so far, and the moment of the newest of them.
purged_events = Table(
    "purged_events",
    metadata,
    _known_id(),
    _number("events"),
    _number("until"),
)

# What the relay last said of the platform, for operators.
platforms = Table(
    "platforms",
    metadata,
    _known_id(),
    Column("name", Text, nullable=False),
    Column("failure", Text),
    _number("failed_at", null=True),
    _number("failing_since", null=True),
    _number("stopped_at", null=True),
    _number("sent_events"),
    _number("within_us"),
    _number("reported_at"),
)

leases = Table(
    "leases",
    metadata,
    _known_id(),
    Column("holder", Text, nullable=False),
    _number("expires_at"),
)

# What was sold and given back since the last refresh, a row for the orders of one transaction and timestamp.
sales_deltas = Table(
    "sales_deltas",
    metadata,
    _own_id(),
    _number("ordered_at"),
    Column("units", Text, nullable=False),
)

# The best-seller view of one window: the units of each product sold later than `since`, as far as refreshed.
best_seller_windows = Table(
    "best_seller_windows",
    metadata,
    _known_id(),
    _number("days"),
    _number("since"),
    Column("state", Text, nullable=False),
    _number("started_at"),
    _number("requested_at"),
    _number("heartbeat_at", null=True),
    CheckConstraint("days BETWEEN 1 AND 30", name="days_in_range"),
    CheckConstraint("state IN ('active', 'backfilling', 'retired')", name="state_known"),
    CheckConstraint("(state = 'backfilling') = (heartbeat_at IS NOT NULL)", name="heartbeat_while_backfilling"),
)

# Units of products with neighbouring ids in one row, found by the largest of them.
best_seller_buckets = Table(
    "best_seller_buckets",
    metadata,
    _known_id(),
    _number("window_id"),
    _number("max_units"),
    Column("units", Text, nullable=False),
    Index("best_seller_buckets_by_max", "window_id", "max_units", "id"),
)

# How many refreshes there were, in one row: a refresh applies only to the version it was planned from.
best_seller_version = Table(
    "best_seller_version",
    metadata,
    _known_id(),
    _number("version"),
)

idempotency_records = Table(
    "idempotency_records",
    metadata,
    Column("key", Text, primary_key=True),
    Column("fingerprint", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("body", Text, nullable=False),
    _number("created_at"),
    Index("idempotency_records_by_creation", "created_at"),
)

# Who writes, where several may: see postgres.py.
writers = Table(
    "writers",
    metadata,
    _known_id(),
    _number("transactions"),
    _number("seen_at"),
)

readiness = Table(
    "readiness",
    metadata,
    _known_id(),
    _number("checked_at"),
)
