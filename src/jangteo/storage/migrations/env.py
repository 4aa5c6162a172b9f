"""Connects Alembic by the engine that `jangteo.storage.migrations.upgrade` passes."""

from alembic import context
from sqlalchemy import event, inspect
from sqlalchemy.engine import Connection

from jangteo.storage.migrations import FORMER_VERSION_TABLE, VERSION_TABLE
from jangteo.storage.schema import metadata


def _begin_at_once(connection: Connection) -> None:
    # The driver would begin a transaction only with the first change of a row, so after the tables were created.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _continue_former_version(connection: Connection) -> None:
    """Begin the version table with what the former one says, where there is a shop of before."""
    tables = set(inspect(connection).get_table_names())
    if VERSION_TABLE not in tables and {FORMER_VERSION_TABLE, "ledger_entries"} <= tables:
        connection.exec_driver_sql(
            f"CREATE TABLE {VERSION_TABLE} (version_num VARCHAR(32) NOT NULL, "
            f"CONSTRAINT {VERSION_TABLE}_pkc PRIMARY KEY (version_num))"
        )
        connection.exec_driver_sql(
            f"INSERT INTO {VERSION_TABLE} (version_num) SELECT version_num FROM {FORMER_VERSION_TABLE}"
        )
    elif VERSION_TABLE in tables and connection.dialect.name == "postgresql":
        # Another migrating process is waited for, and what it has done is seen.
        connection.exec_driver_sql(f"SELECT version_num FROM {VERSION_TABLE} FOR UPDATE")


def migrate() -> None:
    """Run the missing migrations in one transaction."""
    engine = context.config.attributes["engine"]
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", lambda raw, _: setattr(raw, "isolation_level", None))
        event.listen(engine, "begin", _begin_at_once)
    with engine.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=metadata,
            version_table=VERSION_TABLE,
            # The session's own schema; SQLite has none.
            version_table_schema=None if engine.dialect.name == "sqlite" else connection.dialect.default_schema_name,
            transactional_ddl=True,
        )
        with context.begin_transaction():
            _continue_former_version(connection)
            context.run_migrations()
    engine.dispose()


migrate()
