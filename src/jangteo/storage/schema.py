"""The tables. Timestamps are microseconds since 1970 in UTC, money is in minor units, every integer is a BIGINT.

The constraints are the second guard behind the rules of `core`: they refuse what a defect would let through. Rules that
span several tables have no constraint; `storage.audit` checks them. `tests/storage/test_guards.py` lists which guards
which.
There are no foreign keys: a batch only names rows that it has loaded, and none of these is ever deleted. Checking each
reference again cost 8% of the orders a second on SQLite.
The migrations build these tables; `tests/storage/test_schema.py` compares the two.
"""

from typing import Final

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

# SQLite generates ids only for a column spelled INTEGER.
WholeNumber = BigInteger().with_variant(Integer(), "sqlite")


def _number(name: str, *, null: bool = False) -> Column[int]:
    return Column(name, WholeNumber, nullable=null)


def _assigned_id() -> Column[int]:
    """An id that a batch reserves before it decides (`Session.new_ids`)."""
    return Column("id", WholeNumber, primary_key=True, autoincrement=False)


def _external_id() -> Column[int]:
    """An id that no sequence counts: that of a table with one row, another table's id, or one its writer chooses."""
    return Column("id", WholeNumber, primary_key=True, autoincrement=False, info={"external": True})


def _generated_id() -> Column[int]:
    """An id that the database generates."""
    return Column("id", WholeNumber, Identity(), primary_key=True)


def _within(column: str, lowest: int = 0) -> CheckConstraint:
    return CheckConstraint(f"{column} BETWEEN {lowest} AND {LARGEST}", name=f"{column}_in_range")


def _unique_where(name: str, column: str, condition: str) -> Index:
    """A unique index of the rows that meet the condition only."""
    where = text(condition)
    return Index(name, column, unique=True, sqlite_where=where, postgresql_where=where)


# The shop itself, in one row. Its random name is part of every event's id, so that two shops never share an event id.
shops = Table("shops", metadata, _external_id(), Column("name", Text, nullable=False))

# Users with their balance and the newest entry of their ledger, if they have one.
users = Table(
    "users",
    metadata,
    _assigned_id(),
    Column("name", Text),
    _number("balance"),
    _number("last_entry", null=True),
    _number("created_at"),
    _within("balance"),
)

# Every change of a balance. Each entry names the one before it in its user's ledger; the first names none. The guarded
# change of `users.last_entry` keeps two entries from naming the same one: an index costs 6 to 13% of a batch on SQLite.
ledger_entries = Table(
    "ledger_entries",
    metadata,
    _assigned_id(),
    _number("user_id"),
    _number("previous", null=True),
    Column("kind", Text, nullable=False),
    _number("amount"),
    _number("balance_after"),
    _number("order_id", null=True),
    _number("created_at"),
    _within("balance_after"),
    CheckConstraint("kind IN ('charge', 'payment', 'refund')", name="kind_known"),
    _unique_where("ledger_entries_one_first", "user_id", "previous IS NULL"),
)

# Products with their price and the stock that can still be sold.
products = Table(
    "products",
    metadata,
    _assigned_id(),
    Column("name", Text, nullable=False),
    _number("price"),
    _number("stock"),
    _number("created_at"),
    _within("price"),
    _within("stock"),
)

# Stock that was added to products or taken from them, other than by orders.
stock_movements = Table(
    "stock_movements",
    metadata,
    _generated_id(),
    _number("product_id"),
    _number("quantity"),
    _number("created_at"),
)

# Coupon campaigns: what a coupon is worth (an amount or a percentage), how many there are and how many are issued.
campaigns = Table(
    "campaigns",
    metadata,
    _assigned_id(),
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

# Issued coupons, with the paid order that uses the coupon, if one does.
coupons = Table(
    "coupons",
    metadata,
    _assigned_id(),
    _number("campaign_id"),
    _number("user_id"),
    _number("claimed_at"),
    _number("expires_at", null=True),
    _number("order_id", null=True),
    UniqueConstraint("campaign_id", "user_id", name="coupons_one_for_each_user"),
    Index("coupons_by_user", "user_id", "id"),
)

# Orders are paid when they are placed, and may be cancelled once.
orders = Table(
    "orders",
    metadata,
    _assigned_id(),
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
    CheckConstraint("(status = 'cancelled') = (cancelled_at IS NOT NULL)", name="cancelled_at_if_cancelled"),
    CheckConstraint("status IN ('paid', 'cancelled')", name="status_known"),
    Index("orders_by_creation", "created_at"),
    _unique_where("orders_one_paid_per_coupon", "coupon_id", "status = 'paid' AND coupon_id IS NOT NULL"),
    Index("orders_one_per_payment", "payment_entry", unique=True),
)

# The items of an order with the prices that were paid, numbered from 0 in the order of the request.
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

# Events as the very text that is sent, written in the transaction of the order that they are about.
outbox = Table(
    "outbox",
    metadata,
    _assigned_id(),
    _number("event_batch_id"),
    _number("order_id"),
    Column("type", Text, nullable=False),
    Column("event", Text, nullable=False),
)

# The events of one transaction. They are published and marked as sent together, so that a transaction that commits late
# is never skipped, as it would be by a position in the outbox.
event_batches = Table(
    "event_batches",
    metadata,
    _assigned_id(),
    _number("first_event"),
    _number("last_event"),
    _number("created_at"),
    _number("sent_at", null=True),
    Index(
        "event_batches_waiting", "id", sqlite_where=text("sent_at IS NULL"), postgresql_where=text("sent_at IS NULL")
    ),
)

# Events that the platform rejected. Those without a next attempt are dead letters.
failed_events = Table(
    "failed_events",
    metadata,
    _external_id(),
    _number("order_id"),
    _number("attempts"),
    Column("reason", Text, nullable=False),
    _number("failed_at"),
    _number("next_attempt_at", null=True),
    Index("failed_events_due", "next_attempt_at"),
    Index("failed_events_by_order", "order_id"),
)

# Replays: the events of a span of time, up to the event batch that was the newest when the replay was started.
replays = Table(
    "replays",
    metadata,
    _external_id(),
    _number("since"),
    _number("until"),
    _number("done_batch"),
    _number("last_batch"),
    _number("events"),
    _number("started_at"),
    _number("finished_at", null=True),
)

# How many events retention has purged so far, and the timestamp of the newest of them, in one row.
purged_events = Table("purged_events", metadata, _external_id(), _number("events"), _number("until"))

# The relay's last report about its platform: failures, and how many events were sent within the last `within_us`.
platforms = Table(
    "platforms",
    metadata,
    _external_id(),
    Column("name", Text, nullable=False),
    Column("failure", Text),
    _number("failed_at", null=True),
    _number("failing_since", null=True),
    _number("stopped_at", null=True),
    _number("sent_events"),
    _number("within_us"),
    _number("reported_at"),
)

# The right to send, in one row: the relay that holds it, and until when.
leases = Table("leases", metadata, _external_id(), Column("holder", Text, nullable=False), _number("expires_at"))

# Units sold or given back since the last refresh of the best sellers: one row per transaction and order timestamp.
sales_deltas = Table(
    "sales_deltas",
    metadata,
    _generated_id(),
    _number("ordered_at"),
    Column("units", Text, nullable=False),
)

# One materialized view of best sellers each: the units sold later than `since`, without the deltas that are not in yet.
best_seller_windows = Table(
    "best_seller_windows",
    metadata,
    _external_id(),
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

# The rows of the views: the units of products with neighbouring ids, indexed by the largest of these numbers.
best_seller_buckets = Table(
    "best_seller_buckets",
    metadata,
    _external_id(),
    _number("window_id"),
    _number("max_units"),
    Column("units", Text, nullable=False),
    Index("best_seller_buckets_by_max", "window_id", "max_units", "id"),
)

# The number of refreshes so far, in one row. A refresh applies only to the version it was planned from.
best_seller_version = Table("best_seller_version", metadata, _external_id(), _number("version"))

# Outcomes stored for an idempotency key, with the fingerprint of the request they answer.
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

# PostgreSQL connections that write. Each counts its transactions, so that a lost commit can be looked up: see
# `storage.postgres.connection`.
writers = Table("writers", metadata, _external_id(), _number("transactions"), _number("seen_at"))

# When readiness was last checked, in one row: the check writes, as an order would.
readiness = Table("readiness", metadata, _external_id(), _number("checked_at"))

# The oldest revision that may be a program's newest for it to use the database, in one row: see
# `storage.compatibility`.
compatibility = Table("compatibility", metadata, _external_id(), Column("oldest_revision", Text, nullable=False))


def has_sequence(table: Table) -> bool:
    """Whether the table's ids are counted, so that new ones continue after the largest."""
    return "id" in table.c and "external" not in table.c.id.info


COUNTED_TABLES: Final = tuple(table for table in metadata.sorted_tables if has_sequence(table))
"""The tables whose ids are counted."""
