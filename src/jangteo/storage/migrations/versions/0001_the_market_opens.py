"""The market opens: every table of the first version."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.schema import CreateSequence

revision = "jangteo_1"
down_revision = None
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Forward only: a database is restored from its backup, not migrated back."""
    op.create_table(
        "answers",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_at", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index("answers_by_moment", "answers", ["created_at"], unique=False)
    op.create_table(
        "campaigns",
        sa.Column("id", NUMBER, autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("discount", NUMBER, nullable=True),
        sa.Column("percent", NUMBER, nullable=True),
        sa.Column("max_discount", NUMBER, nullable=True),
        sa.Column("min_amount", NUMBER, nullable=False),
        sa.Column("quantity", NUMBER, nullable=False),
        sa.Column("issued", NUMBER, nullable=False),
        sa.Column("opens_at", NUMBER, nullable=False),
        sa.Column("closes_at", NUMBER, nullable=True),
        sa.Column("coupon_valid_days", NUMBER, nullable=True),
        sa.Column("created_at", NUMBER, nullable=False),
        sa.CheckConstraint("(discount IS NULL) <> (percent IS NULL)", name="discount_or_percent"),
        sa.CheckConstraint("issued BETWEEN 0 AND quantity", name="issued_in_range"),
        sa.CheckConstraint("quantity BETWEEN 1 AND 9007199254740991", name="quantity_in_range"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "products",
        sa.Column("id", NUMBER, autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("price", NUMBER, nullable=False),
        sa.Column("stock", NUMBER, nullable=False),
        sa.Column("created_at", NUMBER, nullable=False),
        sa.CheckConstraint("price BETWEEN 0 AND 9007199254740991", name="price_in_range"),
        sa.CheckConstraint("stock BETWEEN 0 AND 9007199254740991", name="stock_in_range"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "readiness",
        sa.Column("id", NUMBER, autoincrement=False, nullable=False),
        sa.Column("checked_at", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "bundles",
        sa.Column("id", NUMBER, autoincrement=False, nullable=False),
        sa.Column("first_event", NUMBER, nullable=False),
        sa.Column("last_event", NUMBER, nullable=False),
        sa.Column("sent_at", NUMBER, nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    waiting = sa.text("sent_at IS NULL")
    op.create_index("bundles_waiting", "bundles", ["id"], sqlite_where=waiting, postgresql_where=waiting)
    op.create_table(
        "relay_turns",
        sa.Column("id", NUMBER, autoincrement=False, nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("until", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "users",
        sa.Column("id", NUMBER, autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("balance", NUMBER, nullable=False),
        sa.Column("last_entry", NUMBER, nullable=True),
        sa.Column("created_at", NUMBER, nullable=False),
        sa.CheckConstraint("balance BETWEEN 0 AND 9007199254740991", name="balance_in_range"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "orders",
        sa.Column("id", NUMBER, autoincrement=False, nullable=False),
        sa.Column("user_id", NUMBER, nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("amount", NUMBER, nullable=False),
        sa.Column("discount", NUMBER, nullable=False),
        sa.Column("total", NUMBER, nullable=False),
        sa.Column("coupon_id", NUMBER, nullable=True),
        sa.Column("payment_entry", NUMBER, nullable=False),
        sa.Column("created_at", NUMBER, nullable=False),
        sa.Column("cancelled_at", NUMBER, nullable=True),
        sa.CheckConstraint("(status = 'cancelled') = (cancelled_at IS NOT NULL)", name="cancelled_has_moment"),
        sa.CheckConstraint("status IN ('paid', 'cancelled')", name="status_known"),
        sa.CheckConstraint("amount BETWEEN 0 AND 9007199254740991", name="amount_in_range"),
        sa.CheckConstraint("discount BETWEEN 0 AND amount", name="discount_in_range"),
        sa.CheckConstraint("total = amount - discount", name="total_adds_up"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("orders_by_moment", "orders", ["created_at"], unique=False)
    op.create_table(
        "stock_movements",
        sa.Column("id", NUMBER, sa.Identity(always=False), nullable=False),
        sa.Column("product_id", NUMBER, nullable=False),
        sa.Column("quantity", NUMBER, nullable=False),
        sa.Column("created_at", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "coupons",
        sa.Column("id", NUMBER, autoincrement=False, nullable=False),
        sa.Column("campaign_id", NUMBER, nullable=False),
        sa.Column("user_id", NUMBER, nullable=False),
        sa.Column("claimed_at", NUMBER, nullable=False),
        sa.Column("expires_at", NUMBER, nullable=True),
        sa.Column("order_id", NUMBER, nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("campaign_id", "user_id", name="coupons_one_for_each_user"),
    )
    op.create_index("coupons_by_user", "coupons", ["user_id", "id"], unique=False)
    op.create_table(
        "ledger_entries",
        sa.Column("id", NUMBER, autoincrement=False, nullable=False),
        sa.Column("user_id", NUMBER, nullable=False),
        sa.Column("previous", NUMBER, nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("amount", NUMBER, nullable=False),
        sa.Column("balance_after", NUMBER, nullable=False),
        sa.Column("order_id", NUMBER, nullable=True),
        sa.Column("created_at", NUMBER, nullable=False),
        sa.CheckConstraint("balance_after BETWEEN 0 AND 9007199254740991", name="balance_after_in_range"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "order_lines",
        sa.Column("order_id", NUMBER, nullable=False),
        sa.Column("position", NUMBER, nullable=False),
        sa.Column("product_id", NUMBER, nullable=False),
        sa.Column("quantity", NUMBER, nullable=False),
        sa.Column("unit_price", NUMBER, nullable=False),
        sa.CheckConstraint("quantity BETWEEN 1 AND 9007199254740991", name="quantity_in_range"),
        sa.CheckConstraint("unit_price BETWEEN 0 AND 9007199254740991", name="unit_price_in_range"),
        sa.PrimaryKeyConstraint("order_id", "position"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "outbox",
        sa.Column("id", NUMBER, autoincrement=False, nullable=False),
        sa.Column("bundle_id", NUMBER, nullable=False),
        sa.Column("order_id", NUMBER, nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "writers",
        sa.Column("id", NUMBER, autoincrement=False, nullable=False),
        sa.Column("transactions", NUMBER, nullable=False),
        sa.Column("seen_at", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    if op.get_bind().dialect.name == "postgresql":
        for table in ("users", "products", "campaigns", "coupons", "orders", "ledger_entries", "outbox", "bundles"):
            op.execute(CreateSequence(sa.Sequence(f"{table}_ids", data_type=sa.BigInteger())))
