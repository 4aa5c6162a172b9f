"""Best sellers at once: what of each product was sold in a window, kept beside the orders."""

import sqlalchemy as sa
from alembic import op

revision = "jangteo_3"
down_revision = "jangteo_2"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Forward only: a database is restored from its backup, not migrated back."""
    op.create_table(
        "uncounted_sales",
        sa.Column("id", NUMBER, sa.Identity(), nullable=False),
        sa.Column("moment", NUMBER, nullable=False),
        sa.Column("units", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "top_windows",
        sa.Column("id", NUMBER, autoincrement=False, nullable=False),
        sa.Column("days", NUMBER, nullable=False),
        sa.Column("since", NUMBER, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("begun_at", NUMBER, nullable=False),
        sa.Column("asked_at", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.CheckConstraint("days BETWEEN 1 AND 30", name="days_in_range"),
        sa.CheckConstraint("state IN ('building', 'kept', 'let-go')", name="state_known"),
    )
    op.create_table(
        "top_pages",
        sa.Column("id", NUMBER, autoincrement=False, nullable=False),
        sa.Column("window_id", NUMBER, nullable=False),
        sa.Column("best", NUMBER, nullable=False),
        sa.Column("sold", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("top_pages_by_best", "top_pages", ["window_id", "best", "id"], unique=False)
    tally = op.create_table(
        "top_tally",
        sa.Column("id", NUMBER, autoincrement=False, nullable=False),
        sa.Column("steps", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.bulk_insert(tally, [{"id": 1, "steps": 0}])
    # Where nothing was ordered yet, that is all there is to count. A shop that has orders counts them when it opens.
    op.execute(
        """
        INSERT INTO top_windows (id, days, since, state, begun_at, asked_at)
        SELECT 1, 3, 0, 'kept', 0, 0 WHERE NOT EXISTS (SELECT 1 FROM orders)
        """
    )
