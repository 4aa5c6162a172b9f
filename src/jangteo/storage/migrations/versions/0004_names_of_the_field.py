"""The field's names: tables and columns are renamed, and the schema guards more of the rules."""

import sqlalchemy as sa
from alembic import op

revision = "jangteo_4"
down_revision = "jangteo_3"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
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
COLUMNS = {
    "outbox": {"bundle_id": "event_batch_id"},
    "failed_events": {"tries": "attempts", "rejected_at": "failed_at", "next_try_at": "next_attempt_at"},
    "replays": {"done_bundle": "done_batch", "last_bundle": "last_batch"},
    "leases": {"until": "expires_at"},
    "sales_deltas": {"moment": "ordered_at"},
    "best_seller_version": {"steps": "version"},
    "best_seller_buckets": {"best": "max_units", "sold": "units"},
}
INDEXES = {
    "answers_by_moment": ("idempotency_records_by_creation", "idempotency_records", ["created_at"]),
    "orders_by_moment": ("orders_by_creation", "orders", ["created_at"]),
    "rejections_due": ("failed_events_due", "failed_events", ["next_attempt_at"]),
    "rejections_by_order": ("failed_events_by_order", "failed_events", ["order_id"]),
    "top_pages_by_best": ("best_seller_buckets_by_max", "best_seller_buckets", ["window_id", "max_units", "id"]),
}


def upgrade() -> None:
    """Forward only: a database is restored from its backup, not migrated back."""
    on_postgres = op.get_bind().dialect.name == "postgresql"
    for old, new in TABLES.items():
        op.rename_table(old, new)
    for table, columns in COLUMNS.items():
        for old, new in columns.items():
            op.execute(f"ALTER TABLE {table} RENAME COLUMN {old} TO {new}")
    if on_postgres:
        op.execute("ALTER SEQUENCE bundles_ids RENAME TO event_batches_ids")
    _rename_indexes(on_postgres=on_postgres)
    _rename_windows()


def _rename_indexes(*, on_postgres: bool) -> None:
    waiting = sa.text("sent_at IS NULL")
    if on_postgres:
        for old, (new, _, _) in INDEXES.items():
            op.execute(f"ALTER INDEX {old} RENAME TO {new}")
        op.execute("ALTER INDEX bundles_waiting RENAME TO event_batches_waiting")
        return
    for old, (new, table, columns) in INDEXES.items():
        op.drop_index(old, table)
        op.create_index(new, table, columns, unique=False)
    op.drop_index("bundles_waiting", "event_batches")
    op.create_index("event_batches_waiting", "event_batches", ["id"], sqlite_where=waiting)


def _rename_windows() -> None:
    """Windows get the field's states, and a heartbeat of their own; there are few of them, so they are copied."""
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
