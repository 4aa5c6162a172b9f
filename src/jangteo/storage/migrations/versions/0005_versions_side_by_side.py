"""Versions side by side: the database says which of them may use it."""

import sqlalchemy as sa
from alembic import op

revision = "jangteo_5"
down_revision = "jangteo_4"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
OLDEST_REVISION = "jangteo_4"
FORMER_VERSION_TABLE = "alembic_version"


def upgrade() -> None:
    """Forward only: a database is restored from its backup, not migrated back."""
    compatibility = op.create_table(
        "compatibility",
        sa.Column("id", NUMBER, autoincrement=False, nullable=False),
        sa.Column("oldest_revision", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.bulk_insert(compatibility, [{"id": 1, "oldest_revision": OLDEST_REVISION}])
    # Programs of the revision before look for their own revision here when they start, and may go on. The migration
    # that no longer admits them drops it.
    if not sa.inspect(op.get_bind()).has_table(FORMER_VERSION_TABLE):
        op.create_table(FORMER_VERSION_TABLE, sa.Column("version_num", sa.String(32), primary_key=True))
    op.execute(f"DELETE FROM {FORMER_VERSION_TABLE}")
    op.execute(f"INSERT INTO {FORMER_VERSION_TABLE} (version_num) VALUES ('{OLDEST_REVISION}')")
