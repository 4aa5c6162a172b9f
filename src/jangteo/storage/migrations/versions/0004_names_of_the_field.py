"""The field's names: tables and columns are renamed, and the schema guards more of the rules."""

import sqlalchemy as sa
from alembic import op

from jangteo.storage.errors import CannotOpen

revision = "jangteo_4"
down_revision = "jangteo_3"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
WAITING = sa.text("sent_at IS NULL")
FIRST = sa.text("previous IS NULL")
USES_COUPON = sa.text("status = 'paid' AND coupon_id IS NOT NULL")
KINDS = "kind IN ('charge', 'payment', 'refund')"
CANCELLED_AT = "(status = 'cancelled') = (cancelled_at IS NOT NULL)"

TABLES = {
    "answers": "idempotency_records",
    "order_lines": "order_items",
    "bundles": "event_batches",
    "rejections": "failed_events",
    "prunings": "purged_events",
    "relay_turns": "leases",
    "uncounted_sales": "sales_deltas",
    "top_tally": "best_seller_version",
    "top_pages": "best_seller_buckets",
}
COLUMNS = (
    ("outbox", "bundle_id", "event_batch_id"),
    ("failed_events", "tries", "attempts"),
    ("failed_events", "rejected_at", "failed_at"),
    ("failed_events", "next_try_at", "next_attempt_at"),
    ("replays", "done_bundle", "done_batch"),
    ("replays", "last_bundle", "last_batch"),
    ("leases", "until", "expires_at"),
    ("sales_deltas", "moment", "ordered_at"),
    ("best_seller_version", "steps", "version"),
    ("best_seller_buckets", "best", "max_units"),
    ("best_seller_buckets", "sold", "units"),
)
# PostgreSQL renames in place. The names of primary keys and of an identity's sequence are PostgreSQL's own.
RENAMED_ON_POSTGRES = (
    "ALTER INDEX answers_by_moment RENAME TO idempotency_records_by_creation",
    "ALTER INDEX orders_by_moment RENAME TO orders_by_creation",
    "ALTER INDEX bundles_waiting RENAME TO event_batches_waiting",
    "ALTER INDEX rejections_due RENAME TO failed_events_due",
    "ALTER INDEX rejections_by_order RENAME TO failed_events_by_order",
    "ALTER INDEX top_pages_by_best RENAME TO best_seller_buckets_by_max",
    "ALTER INDEX answers_pkey RENAME TO idempotency_records_pkey",
    "ALTER INDEX order_lines_pkey RENAME TO order_items_pkey",
    "ALTER INDEX bundles_pkey RENAME TO event_batches_pkey",
    "ALTER INDEX rejections_pkey RENAME TO failed_events_pkey",
    "ALTER INDEX prunings_pkey RENAME TO purged_events_pkey",
    "ALTER INDEX relay_turns_pkey RENAME TO leases_pkey",
    "ALTER INDEX uncounted_sales_pkey RENAME TO sales_deltas_pkey",
    "ALTER INDEX top_tally_pkey RENAME TO best_seller_version_pkey",
    "ALTER INDEX top_pages_pkey RENAME TO best_seller_buckets_pkey",
    "ALTER SEQUENCE bundles_ids RENAME TO event_batches_ids",
    "ALTER SEQUENCE uncounted_sales_id_seq RENAME TO sales_deltas_id_seq",
    "ALTER TABLE orders RENAME CONSTRAINT cancelled_has_moment TO cancelled_at_if_cancelled",
)
# What the new constraints would refuse: a query for one damaged row, and what it means.
DAMAGE = (
    (
        """
        SELECT coupon_id FROM orders WHERE status = 'paid' AND coupon_id IS NOT NULL
        GROUP BY coupon_id HAVING COUNT(*) > 1 LIMIT 1
        """,
        "coupon {} is used by more than one paid order",
    ),
    (
        "SELECT payment_entry FROM orders GROUP BY payment_entry HAVING COUNT(*) > 1 LIMIT 1",
        "ledger entry {} is the payment of more than one order",
    ),
    (
        "SELECT user_id FROM ledger_entries WHERE previous IS NULL GROUP BY user_id HAVING COUNT(*) > 1 LIMIT 1",
        "the ledger of user {} has more than one first entry",
    ),
    (
        "SELECT id FROM ledger_entries WHERE kind NOT IN ('charge', 'payment', 'refund') LIMIT 1",
        "ledger entry {} is of an unknown kind",
    ),
)


def upgrade() -> None:
    """Forward only: a database is restored from its backup, not migrated back.

    Raises CannotOpen where a row is so damaged that the new constraints would refuse it.
    """
    _refuse_damaged_shop()
    for old, new in TABLES.items():
        op.rename_table(old, new)
    for table, old, new in COLUMNS:
        op.alter_column(table, old, new_column_name=new)
    if op.get_bind().dialect.name == "postgresql":
        for rename in RENAMED_ON_POSTGRES:
            op.execute(rename)
        op.create_check_constraint("kind_known", "ledger_entries", KINDS)
    else:
        _rebuild_on_sqlite()
    op.create_index("orders_one_per_payment", "orders", ["payment_entry"], unique=True)
    _create_partial("orders_one_paid_per_coupon", "orders", "coupon_id", USES_COUPON)
    _create_partial("ledger_entries_one_first", "ledger_entries", "user_id", FIRST)
    _copy_windows()


def _refuse_damaged_shop() -> None:
    for sql, meaning in DAMAGE:
        found = op.get_bind().exec_driver_sql(sql).fetchall()
        if found:
            raise CannotOpen(
                f"the shop is damaged: {meaning.format(found[0][0])}; repair it or restore a backup, and check it "
                "with `jangteo audit` of the version that it had"
            )


def _create_partial(name: str, table: str, column: str, condition: sa.TextClause) -> None:
    op.create_index(name, table, [column], unique=True, sqlite_where=condition, postgresql_where=condition)


def _rebuild_on_sqlite() -> None:
    """SQLite renames no index and adds no constraint: indexes are built again, and two tables are copied."""
    op.drop_index("answers_by_moment", "idempotency_records")
    op.drop_index("orders_by_moment", "orders")
    op.drop_index("bundles_waiting", "event_batches")
    op.drop_index("rejections_due", "failed_events")
    op.drop_index("rejections_by_order", "failed_events")
    op.drop_index("top_pages_by_best", "best_seller_buckets")
    with op.batch_alter_table("orders", recreate="always") as orders:
        orders.drop_constraint("cancelled_has_moment", type_="check")
        orders.create_check_constraint("cancelled_at_if_cancelled", CANCELLED_AT)
    with op.batch_alter_table("ledger_entries", recreate="always") as entries:
        entries.create_check_constraint("kind_known", KINDS)
    op.create_index("idempotency_records_by_creation", "idempotency_records", ["created_at"])
    op.create_index("orders_by_creation", "orders", ["created_at"])
    op.create_index("event_batches_waiting", "event_batches", ["id"], sqlite_where=WAITING)
    op.create_index("failed_events_due", "failed_events", ["next_attempt_at"])
    op.create_index("failed_events_by_order", "failed_events", ["order_id"])
    op.create_index("best_seller_buckets_by_max", "best_seller_buckets", ["window_id", "max_units", "id"])


def _copy_windows() -> None:
    """Give windows the field's states and a heartbeat. There are a few dozen at most, so they are copied."""
    op.create_table(
        "best_seller_windows",
        sa.Column("id", NUMBER, autoincrement=False, nullable=False),
        sa.Column("days", NUMBER, nullable=False),
        sa.Column("since", NUMBER, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("started_at", NUMBER, nullable=False),
        sa.Column("requested_at", NUMBER, nullable=False),
        sa.Column("heartbeat_at", NUMBER, nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.CheckConstraint("days BETWEEN 1 AND 30", name="days_in_range"),
        sa.CheckConstraint("state IN ('active', 'backfilling', 'retired')", name="state_known"),
        sa.CheckConstraint("(state = 'backfilling') = (heartbeat_at IS NOT NULL)", name="heartbeat_while_backfilling"),
    )
    # Until now a window's time of request was also the heartbeat of its backfill.
    op.execute(
        """
        INSERT INTO best_seller_windows (id, days, since, state, started_at, requested_at, heartbeat_at)
        SELECT id, days, since,
            CASE state WHEN 'kept' THEN 'active' WHEN 'building' THEN 'backfilling' ELSE 'retired' END,
            begun_at, asked_at, CASE state WHEN 'building' THEN asked_at END
        FROM top_windows
        """
    )
    op.drop_table("top_windows")
