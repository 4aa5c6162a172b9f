"""Databases of older revisions: made by their migrations, filled, and brought to this version."""

from __future__ import annotations

from contextlib import closing

from alembic import command
from sqlalchemy import Engine, create_engine, inspect, text

from jangteo.storage import migrations
from jangteo.storage.port import Row
from jangteo.storage.urls import open_storage
from tests.storage import revision_3
from tests.storage.shops import Shop

FIRST = "jangteo_1"
THIRD = "jangteo_3"
# The tables that the first version fills, with the columns that have another name now.
FIRST_TABLES = {
    "users": "users",
    "products": "products",
    "stock_movements": "stock_movements",
    "orders": "orders",
    "order_lines": "order_items",
    "ledger_entries": "ledger_entries",
    "outbox": "outbox",
    "bundles": "event_batches",
}
VERSION_TABLES = {"alembic_version", "jangteo_version", "compatibility"}
RENAMED_COLUMNS = {"bundle_id": "event_batch_id"}


def engine_of(database: str) -> Engine:
    return create_engine(database.replace("postgresql://", "postgresql+psycopg://"))


def create(database: str, revision: str) -> None:
    """An empty database becomes one of the revision, made by a program of that time."""
    config = migrations._config()
    config.attributes["engine"] = engine_of(database)
    command.upgrade(config, revision)
    run(
        database,
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)",
        "INSERT INTO alembic_version SELECT version_num FROM jangteo_version",
        "DROP TABLE jangteo_version",
    )


def migrate(database: str) -> Shop:
    with closing(open_storage(database)) as storage:
        storage.prepare()
    return Shop(database)


def copy_into_first(new: str, old: str) -> None:
    """Copies what the first version would have of a shop into an empty database of the first version."""
    source, target = engine_of(new), engine_of(old)
    with source.connect() as reads, target.begin() as writes:
        for old_table, new_table in FIRST_TABLES.items():
            columns = [str(column["name"]) for column in inspect(target).get_columns(old_table)]
            found = ", ".join(f"{RENAMED_COLUMNS.get(name, name)} AS {name}" for name in columns)
            values = ", ".join(f":{name}" for name in columns)
            for row in reads.execute(text(f"SELECT {found} FROM {new_table}")).mappings():
                writes.execute(text(f"INSERT INTO {old_table} VALUES ({values})"), dict(row))
        if target.dialect.name == "postgresql":
            for table in ("users", "products", "orders", "ledger_entries", "outbox", "bundles"):
                writes.execute(text(f"SELECT setval('{table}_ids', (SELECT MAX(id) FROM {table}))"))
    source.dispose()
    target.dispose()


def fill_third(database: str) -> None:
    """Fills a database of revision jangteo_3."""
    run(database, *revision_3.ROWS.split(";"))
    if database.startswith("postgresql"):
        run(database, revision_3.SEQUENCES)


def run(database: str, *statements: str) -> None:
    engine = engine_of(database)
    with engine.begin() as connection:
        for sql in statements:
            if sql.strip():
                connection.exec_driver_sql(sql)
    engine.dispose()


def tables_of(database: str) -> dict[str, list[Row]]:
    """All rows of all tables but those of versions, in order of their columns."""
    engine = engine_of(database)
    with engine.connect() as connection:
        tables = set(inspect(engine).get_table_names()) - VERSION_TABLES
        rows = {
            table: sorted((tuple(row) for row in connection.execute(text(f"SELECT * FROM {table}"))), key=repr)
            for table in tables
        }
    engine.dispose()
    return rows
