"""Connects Alembic by the engine that `jangteo.storage.migrations.upgrade` passes."""

from alembic import context
from sqlalchemy import event
from sqlalchemy.engine import Connection

from jangteo.storage.schema import metadata


def _begin_at_once(connection: Connection) -> None:
    # The driver would begin a transaction only with the first change of a row, so after the tables were created.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def migrate() -> None:
    """Run the missing migrations in one transaction."""
    engine = context.config.attributes["engine"]
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", lambda raw, _: setattr(raw, "isolation_level", None))
        event.listen(engine, "begin", _begin_at_once)
    with engine.connect() as connection:
        context.configure(connection=connection, target_metadata=metadata)
        with context.begin_transaction():
            context.run_migrations()
    engine.dispose()


migrate()
