from __future__ import annotations

from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine
from sqlalchemy.schema import CreateTable

from jangteo.storage.schema import metadata


def test_the_migrations_build_the_schema_that_is_declared(empty_database: Path) -> None:
    engine = create_engine(f"sqlite:///{empty_database}")
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        # Alembic doesn't compare checks, so the tables are compared as SQL too.
        tables = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE type = 'table'")
        built = {str(name): str(sql) for name, sql in tables}
    for name, table in metadata.tables.items():
        declared = str(CreateTable(table).compile(engine))
        assert sorted(_parts(built[name])) == sorted(_parts(declared)), name
    engine.dispose()


def _parts(sql: str) -> list[str]:
    # A table that was made anew for a column has its name in quotes.
    return [" ".join(line.replace('"', "").split()).rstrip(",") for line in sql.splitlines() if line.strip()]
