"""Every event arrives: a name for the shop, and what there is to know of events on their way."""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "jangteo_2"
down_revision = "jangteo_1"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_NAME_BYTES = 6


def upgrade() -> None:
    """Forward only: a database is restored from its backup, not migrated back."""
    shops = op.create_table(
        "shops",
        sa.Column("id", NUMBER, autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.bulk_insert(shops, [{"id": 1, "name": secrets.token_hex(_NAME_BYTES)}])
    _give_bundles_their_moment()
    op.create_table(
        "rejections",
        sa.Column("id", NUMBER, autoincrement=False, nullable=False),
        sa.Column("order_id", NUMBER, nullable=False),
        sa.Column("tries", NUMBER, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("rejected_at", NUMBER, nullable=False),
        sa.Column("next_try_at", NUMBER, nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("rejections_due", "rejections", ["next_try_at"], unique=False)
    op.create_index("rejections_by_order", "rejections", ["order_id"], unique=False)
    op.create_table(
        "replays",
        sa.Column("id", NUMBER, autoincrement=False, nullable=False),
        sa.Column("since", NUMBER, nullable=False),
        sa.Column("until", NUMBER, nullable=False),
        sa.Column("done_bundle", NUMBER, nullable=False),
        sa.Column("last_bundle", NUMBER, nullable=False),
        sa.Column("events", NUMBER, nullable=False),
        sa.Column("started_at", NUMBER, nullable=False),
        sa.Column("finished_at", NUMBER, nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    prunings = op.create_table(
        "prunings",
        sa.Column("id", NUMBER, autoincrement=False, nullable=False),
        sa.Column("events", NUMBER, nullable=False),
        sa.Column("until", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.bulk_insert(prunings, [{"id": 1, "events": 0, "until": 0}])
    op.create_table(
        "platforms",
        sa.Column("id", NUMBER, autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.Column("failed_at", NUMBER, nullable=True),
        sa.Column("failing_since", NUMBER, nullable=True),
        sa.Column("stopped_at", NUMBER, nullable=True),
        sa.Column("sent_events", NUMBER, nullable=False),
        sa.Column("within_us", NUMBER, nullable=False),
        sa.Column("reported_at", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )


def _give_bundles_their_moment() -> None:
    """The moment of a bundle's orders. Events of before keep the id that they were, or could have been, sent with."""
    with op.batch_alter_table("bundles") as bundles:
        bundles.add_column(sa.Column("created_at", NUMBER, nullable=True))
    op.execute(
        """
        UPDATE bundles SET created_at = (
            SELECT COALESCE(MAX(CASE type WHEN 'jangteo.order.paid' THEN created_at ELSE cancelled_at END), 0)
            FROM outbox JOIN orders ON orders.id = outbox.order_id
            WHERE outbox.id = first_event
        )
        """
    )
    with op.batch_alter_table("bundles") as bundles:
        bundles.alter_column("created_at", nullable=False)
