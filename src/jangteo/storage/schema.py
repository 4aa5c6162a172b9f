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
    CheckConstraint,
    Column,
    Index,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from jangteo.storage.columns import actor, assigned_id, external_id, generated_id, number, unique_where, within

metadata = MetaData()

# The shop itself, in one row. Its random name is part of every event's id, so that two shops never share an event id.
# The seed is that of the key that signs the shop's own customer tokens.
shops = Table("shops", metadata, external_id(), Column("name", Text, nullable=False), Column("token_seed", Text))

# Users with their balance and the newest entry of their ledger, if they have one.
users = Table(
    "users",
    metadata,
    assigned_id(),
    Column("name", Text),
    number("balance"),
    number("last_entry", null=True),
    number("created_at"),
    within("balance"),
)

# Every change of a balance. Each entry names the one before it in its user's ledger; the first names none. The guarded
# change of `users.last_entry` keeps two entries from naming the same one: an index costs 6 to 13% of a batch on SQLite.
ledger_entries = Table(
    "ledger_entries",
    metadata,
    assigned_id(),
    number("user_id"),
    number("previous", null=True),
    Column("kind", Text, nullable=False),
    number("amount"),
    number("balance_after"),
    number("order_id", null=True),
    number("created_at"),
    actor(),
    within("balance_after"),
    CheckConstraint("kind IN ('charge', 'payment', 'refund')", name="kind_known"),
    unique_where("ledger_entries_one_first", "user_id", "previous IS NULL"),
)

# Products with their price and the stock that can still be sold.
products = Table(
    "products",
    metadata,
    assigned_id(),
    Column("name", Text, nullable=False),
    number("price"),
    number("stock"),
    number("created_at"),
    within("price"),
    within("stock"),
)

# Stock that was added to products or taken from them, other than by orders.
stock_movements = Table(
    "stock_movements",
    metadata,
    generated_id(),
    number("product_id"),
    number("quantity"),
    number("created_at"),
    actor(),
    Index("stock_movements_by_product", "product_id", "id"),
)

# What was set of products and campaigns, as JSON, when they were added and whenever they were changed.
catalog_changes = Table(
    "catalog_changes",
    metadata,
    generated_id(),
    Column("subject", Text, nullable=False),
    number("subject_id"),
    Column("kind", Text, nullable=False),
    Column("change", Text, nullable=False),
    number("created_at"),
    actor(),
    CheckConstraint("subject IN ('product', 'campaign')", name="subject_known"),
    CheckConstraint("kind IN ('added', 'changed')", name="change_known"),
    Index("catalog_changes_by_subject", "subject", "subject_id", "id"),
)

# Coupon campaigns: what a coupon is worth (an amount or a percentage), how many there are and how many are issued.
campaigns = Table(
    "campaigns",
    metadata,
    assigned_id(),
    Column("name", Text, nullable=False),
    number("discount", null=True),
    number("percent", null=True),
    number("max_discount", null=True),
    number("min_amount"),
    number("quantity"),
    number("issued"),
    number("opens_at"),
    number("closes_at", null=True),
    number("coupon_valid_days", null=True),
    number("created_at"),
    within("quantity", 1),
    CheckConstraint("issued BETWEEN 0 AND quantity", name="issued_in_range"),
    CheckConstraint("(discount IS NULL) <> (percent IS NULL)", name="discount_or_percent"),
)

# Issued coupons, with the paid order that uses the coupon, if one does.
coupons = Table(
    "coupons",
    metadata,
    assigned_id(),
    number("campaign_id"),
    number("user_id"),
    number("claimed_at"),
    number("expires_at", null=True),
    number("order_id", null=True),
    UniqueConstraint("campaign_id", "user_id", name="coupons_one_for_each_user"),
    Index("coupons_by_user", "user_id", "id"),
)

# Orders are paid when they are placed, and may be cancelled once.
orders = Table(
    "orders",
    metadata,
    assigned_id(),
    number("user_id"),
    Column("status", Text, nullable=False),
    number("amount"),
    number("discount"),
    number("total"),
    number("coupon_id", null=True),
    number("payment_entry"),
    number("created_at"),
    number("cancelled_at", null=True),
    actor(),
    Column("cancelled_by", Text),
    within("amount"),
    CheckConstraint("discount BETWEEN 0 AND amount", name="discount_in_range"),
    CheckConstraint("total = amount - discount", name="total_adds_up"),
    CheckConstraint("(status = 'cancelled') = (cancelled_at IS NOT NULL)", name="cancelled_at_if_cancelled"),
    CheckConstraint("status IN ('paid', 'cancelled')", name="status_known"),
    Index("orders_by_creation", "created_at"),
    unique_where("orders_one_paid_per_coupon", "coupon_id", "status = 'paid' AND coupon_id IS NOT NULL"),
    Index("orders_one_per_payment", "payment_entry", unique=True),
)

# The items of an order with the prices that were paid, numbered from 0 in the order of the request.
order_items = Table(
    "order_items",
    metadata,
    number("order_id"),
    number("position"),
    number("product_id"),
    number("quantity"),
    number("unit_price"),
    PrimaryKeyConstraint("order_id", "position"),
    within("quantity", 1),
    within("unit_price"),
    sqlite_with_rowid=False,
)

# Events as the very text that is sent, written in the transaction of the order that they are about.
outbox = Table(
    "outbox",
    metadata,
    assigned_id(),
    number("event_batch_id"),
    number("order_id"),
    Column("type", Text, nullable=False),
    Column("event", Text, nullable=False),
)

# The events of one transaction. They are published and marked as sent together, so that a transaction that commits late
# is never skipped, as it would be by a position in the outbox.
event_batches = Table(
    "event_batches",
    metadata,
    assigned_id(),
    number("first_event"),
    number("last_event"),
    number("created_at"),
    number("sent_at", null=True),
    Index(
        "event_batches_waiting", "id", sqlite_where=text("sent_at IS NULL"), postgresql_where=text("sent_at IS NULL")
    ),
)

# Events that the platform rejected. Those without a next attempt are dead letters.
failed_events = Table(
    "failed_events",
    metadata,
    external_id(),
    number("order_id"),
    number("attempts"),
    Column("reason", Text, nullable=False),
    number("failed_at"),
    number("next_attempt_at", null=True),
    Index("failed_events_due", "next_attempt_at"),
    Index("failed_events_by_order", "order_id"),
)

# Replays: the events of a span of time, up to the event batch that was the newest when the replay was started.
replays = Table(
    "replays",
    metadata,
    external_id(),
    number("since"),
    number("until"),
    number("done_batch"),
    number("last_batch"),
    number("events"),
    number("started_at"),
    number("finished_at", null=True),
)

# How many events retention has purged so far, and the timestamp of the newest of them, in one row.
purged_events = Table("purged_events", metadata, external_id(), number("events"), number("until"))

# The relay's last report about its platform: failures, and how many events were sent within the last `within_us`.
platforms = Table(
    "platforms",
    metadata,
    external_id(),
    Column("name", Text, nullable=False),
    Column("failure", Text),
    number("failed_at", null=True),
    number("failing_since", null=True),
    number("stopped_at", null=True),
    number("sent_events"),
    number("within_us"),
    number("reported_at"),
)

# The right to send, in one row: the relay that holds it, and until when.
leases = Table("leases", metadata, external_id(), Column("holder", Text, nullable=False), number("expires_at"))

# Units sold or given back since the last refresh of the best sellers: one row per transaction and order timestamp.
sales_deltas = Table(
    "sales_deltas",
    metadata,
    generated_id(),
    number("ordered_at"),
    Column("units", Text, nullable=False),
)

# One materialized view of best sellers each: the units sold later than `since`, without the deltas that are not in yet.
best_seller_windows = Table(
    "best_seller_windows",
    metadata,
    external_id(),
    number("days"),
    number("since"),
    Column("state", Text, nullable=False),
    number("started_at"),
    number("requested_at"),
    number("heartbeat_at", null=True),
    CheckConstraint("days BETWEEN 1 AND 30", name="days_in_range"),
    CheckConstraint("state IN ('active', 'backfilling', 'retired')", name="state_known"),
    CheckConstraint("(state = 'backfilling') = (heartbeat_at IS NOT NULL)", name="heartbeat_while_backfilling"),
)

# The rows of the views: the units of products with neighbouring ids, indexed by the largest of these numbers.
best_seller_buckets = Table(
    "best_seller_buckets",
    metadata,
    external_id(),
    number("window_id"),
    number("max_units"),
    Column("units", Text, nullable=False),
    Index("best_seller_buckets_by_max", "window_id", "max_units", "id"),
)

# The number of refreshes so far, in one row. A refresh applies only to the version it was planned from.
best_seller_version = Table("best_seller_version", metadata, external_id(), number("version"))

# API keys, with digests of their secrets: see `engine.key_secrets`. None is ever deleted, since what it did names it.
api_keys = Table(
    "api_keys",
    metadata,
    assigned_id(),
    Column("name", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("digest", Text, nullable=False),
    number("created_at"),
    Column("created_by", Text, nullable=False),
    number("ends_at", null=True),
    number("revoked_at", null=True),
    Column("revoked_by", Text),
    number("last_used_at", null=True),
    CheckConstraint("(revoked_at IS NULL) = (revoked_by IS NULL)", name="revoked_by_if_revoked"),
)

# Outcomes stored for an idempotency key, with the fingerprint of the request they answer. The key is its owner's own:
# see `storage.idempotency.owned_key`.
idempotency_records = Table(
    "idempotency_records",
    metadata,
    Column("key", Text, primary_key=True),
    Column("fingerprint", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("body", Text, nullable=False),
    number("created_at"),
    Index("idempotency_records_by_creation", "created_at"),
)

# PostgreSQL connections that write. Each counts its transactions, so that a lost commit can be looked up: see
# `storage.postgres.connection`.
writers = Table("writers", metadata, external_id(), number("transactions"), number("seen_at"))

# When readiness was last checked, in one row: the check writes, as an order would.
readiness = Table("readiness", metadata, external_id(), number("checked_at"))

# The oldest revision that may be a program's newest for it to use the database, in one row: see
# `storage.compatibility`.
compatibility = Table("compatibility", metadata, external_id(), Column("oldest_revision", Text, nullable=False))


def has_sequence(table: Table) -> bool:
    """Whether the table's ids are counted, so that new ones continue after the largest."""
    return "id" in table.c and "external" not in table.c.id.info


COUNTED_TABLES: Final = tuple(table for table in metadata.sorted_tables if has_sequence(table))
"""The tables whose ids are counted."""
