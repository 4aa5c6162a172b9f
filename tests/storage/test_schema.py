from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import CheckConstraint, Connection, Engine, create_engine, inspect
from sqlalchemy.schema import CreateTable

from jangteo.storage.schema import metadata
from tests.postgres import EMPTY_SHOP, Server

_OUTER_COMMA = re.compile(r",(?![^(]*\))")


def test_the_migrations_build_the_declared_schema_on_sqlite(empty_database: Path) -> None:
    engine = create_engine(f"sqlite:///{empty_database}")
    with engine.connect() as connection:
        assert _differences(connection) == []
        # Alembic doesn't compare checks, so the tables are compared as SQL too.
        tables = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE type = 'table'")
        built = {str(name): str(sql) for name, sql in tables}
    for name, table in metadata.tables.items():
        declared = str(CreateTable(table).compile(engine))
        assert sorted(_parts(built[name])) == sorted(_parts(declared)), name
    assert _indexes(engine) == _declared_indexes()
    engine.dispose()


def test_the_migrations_build_the_declared_schema_on_postgresql(postgres: Server) -> None:
    engine = create_engine(postgres.url(EMPTY_SHOP).replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as connection:
        assert _differences(connection) == []
    found = inspect(engine)
    for name, table in metadata.tables.items():
        checks = {check["name"] for check in found.get_check_constraints(name)}
        assert checks == {each.name for each in table.constraints if isinstance(each, CheckConstraint)}, name
        assert found.get_pk_constraint(name)["name"] == f"{name}_pkey"
    assert _indexes(engine) == _declared_indexes()
    engine.dispose()


def _differences(connection: Connection) -> list[Any]:
    """The differences between the database and the declared tables, those of versions aside."""

    def is_declared(name: str | None, kind: str, _: object) -> bool:
        return kind != "table" or name != "alembic_version"

    options = {"version_table": "jangteo_version", "include_name": is_declared}
    differences: list[Any] = compare_metadata(MigrationContext.configure(connection, opts=options), metadata)
    return differences


def _indexes(engine: Engine) -> dict[str, set[tuple[str | None, bool]]]:
    """The names of every table's indexes, and whether they are unique; those of unique constraints aside."""
    found = inspect(engine)
    return {
        table: {
            (index["name"], bool(index["unique"]))
            for index in found.get_indexes(table)
            if not index.get("duplicates_constraint")
        }
        for table in metadata.tables
    }


def _declared_indexes() -> dict[str, set[tuple[str | None, bool]]]:
    return {name: {(index.name, index.unique) for index in table.indexes} for name, table in metadata.tables.items()}


def _parts(sql: str) -> list[str]:
    """The columns and constraints of a table, and what comes before and after them."""
    # A table that was rebuilt has its name in quotes. A column that was added stands on the line of the one before it.
    before, rest = " ".join(sql.replace('"', "").split()).split("(", 1)
    inner, after = rest.rsplit(")", 1)
    return [before.strip(), *(each.strip() for each in _OUTER_COMMA.split(inner)), after.strip()]
