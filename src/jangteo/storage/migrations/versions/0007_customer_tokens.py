"""The seed of the key that signs the shop's own customer tokens: drawn once, for all processes."""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "jangteo_7"
down_revision = "jangteo_6"
branch_labels = None
depends_on = None

SEED_BYTES = 32


def upgrade() -> None:
    """Forward only: a database is restored from its backup, not migrated back."""
    # May be null: the version before, which may go on beside, copies shops without it.
    op.add_column("shops", sa.Column("token_seed", sa.Text(), nullable=True))
    shops = sa.table("shops", sa.column("token_seed", sa.Text()))
    op.execute(shops.update().values(token_seed=secrets.token_hex(SEED_BYTES)))
