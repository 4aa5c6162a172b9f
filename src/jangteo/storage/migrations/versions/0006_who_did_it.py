"""Who did it: API keys, the actor of every effect, and the changes of products and campaigns."""

from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.exc import OperationalError
from sqlalchemy.schema import CreateSequence, Sequence

from jangteo.storage.errors import CannotOpen

revision = "jangteo_6"
down_revision = "jangteo_5"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
# What there was before: anyone who reached the port. The version before, which may go on beside, writes it by default.
OPEN = "open"
WITH_ACTORS = ("orders", "ledger_entries", "stock_movements")
LOCK_ATTEMPTS: Final = 120
LOCK_TIMEOUT_MS: Final = 500
LOCK_PAUSE_S: Final = 0.5


def upgrade() -> None:
    """Forward only: a database is restored from its backup, not migrated back."""
    _create_tables()
    if op.get_bind().dialect.name == "postgresql":
        op.execute(CreateSequence(Sequence("api_keys_ids")))
        _add_columns_beside_queries()
    else:
        _add_columns()
    op.create_index("stock_movements_by_product", "stock_movements", ["product_id", "id"])


def _add_columns() -> None:
    for table in WITH_ACTORS:
        op.add_column(table, sa.Column("actor", sa.Text(), nullable=False, server_default=OPEN))
    op.add_column("orders", sa.Column("cancelled_by", sa.Text(), nullable=True))


def _add_columns_beside_queries() -> None:
    """Add the columns in the milliseconds in which nobody uses the tables.

    A statement that waits for a table has all later ones wait for it. So it waits only briefly behind a long query,
    gives way, and tries again. Raises CannotOpen where a query goes on for minutes.
    """
    connection = op.get_bind()
    for _ in range(LOCK_ATTEMPTS):
        try:
            with connection.begin_nested():
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}")
                _add_columns()
        except OperationalError:
            connection.exec_driver_sql(f"SELECT pg_sleep({LOCK_PAUSE_S})")
        else:
            return
    raise CannotOpen(
        "the schema can't be migrated while a long query reads orders or ledger entries; nothing was changed: "
        "start again when it has ended"
    )


def _create_tables() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", NUMBER, autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("created_at", NUMBER, nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("ends_at", NUMBER, nullable=True),
        sa.Column("revoked_at", NUMBER, nullable=True),
        sa.Column("revoked_by", sa.Text(), nullable=True),
        sa.Column("last_used_at", NUMBER, nullable=True),
        sa.CheckConstraint("(revoked_at IS NULL) = (revoked_by IS NULL)", name="revoked_by_if_revoked"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "catalog_changes",
        sa.Column("id", NUMBER, sa.Identity(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("subject_id", NUMBER, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("change", sa.Text(), nullable=False),
        sa.Column("created_at", NUMBER, nullable=False),
        sa.Column("actor", sa.Text(), nullable=False, server_default=OPEN),
        sa.CheckConstraint("subject IN ('product', 'campaign')", name="subject_known"),
        sa.CheckConstraint("kind IN ('added', 'changed')", name="change_known"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("catalog_changes_by_subject", "catalog_changes", ["subject", "subject_id", "id"])
