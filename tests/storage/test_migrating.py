"""Migrating PostgreSQL in whatever state the server, the role and the schema are in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from time import monotonic

import psycopg
import pytest
from psycopg import errors
from sqlalchemy import Engine
from sqlalchemy.exc import ProgrammingError

from jangteo.storage import migrations
from jangteo.storage.errors import CannotOpen
from jangteo.storage.urls import open_storage
from tests.postgres import USER, Server
from tests.storage.old_shops import create, fill_third, migrate, run

NAME = "migrating"
ROLE = "restricted"
THIRD, FOURTH = "jangteo_3", "jangteo_4"


@pytest.fixture
def database(postgres: Server) -> Iterator[str]:
    """The URL of a database without tables."""
    yield postgres.create(NAME)
    postgres.drop(NAME)


@pytest.fixture
def restricted(postgres: Server, database: str) -> Iterator[str]:
    """The URL of the same database for a role without any rights of its own."""
    postgres.run(f"CREATE ROLE {ROLE} LOGIN")
    yield database.replace(f"//{USER}@", f"//{ROLE}@")
    postgres.run(f"DROP OWNED BY {ROLE}", NAME)
    postgres.run(f"DROP ROLE {ROLE}")


def refusal(database: str, *, check: bool = False) -> str:
    storage = open_storage(database)
    with pytest.raises(CannotOpen) as refused:
        storage.check() if check else storage.prepare()
    line = str(refused.value)
    assert "\n" not in line
    assert "http" not in line
    return line


def version_rows(database: str, table: str) -> list[tuple[str]]:
    with psycopg.connect(database) as connection:
        return connection.execute(f"SELECT version_num FROM {table}".encode()).fetchall()


@pytest.mark.parametrize("revision", [THIRD, FOURTH])
def test_a_shop_of_before_gets_the_version_table_and_keeps_the_former_one(database: str, revision: str) -> None:
    create(database, revision)
    migrate(database).close()
    assert version_rows(database, "jangteo_version") == [(migrations.newest(),)]
    # The version before finds what it knows.
    assert version_rows(database, "alembic_version") == [(FOURTH,)]


def test_a_role_without_create_is_refused_at_once_with_the_grant(restricted: str) -> None:
    began = monotonic()
    line = refusal(restricted)
    assert monotonic() - began < 2
    assert f"GRANT CREATE ON SCHEMA public TO {ROLE}" in line


def test_a_role_without_rights_on_the_tables_is_refused_with_the_grants(database: str, restricted: str) -> None:
    open_storage(database).prepare()
    for check in (True, False):
        line = refusal(restricted, check=check)
        assert f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {ROLE}" in line
    run(database, f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {ROLE}")
    assert "SELECT ON ALL SEQUENCES" in refusal(restricted, check=True)
    run(database, f"GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO {ROLE}")
    assert list(open_storage(restricted).check()) == [], "a reader may audit"
    line = refusal(restricted)
    grants = [part for part in line.split(": ", 1)[1].split("; ") if part.startswith("GRANT")]
    assert "INSERT" in grants[0]
    run(database, *grants)
    assert list(open_storage(restricted).prepare()) == [], "the grants that the line names are enough"


def test_what_cannot_pass_ends_at_once_with_the_servers_own_line(database: str, restricted: str) -> None:
    create(database, THIRD)
    everything = f"IN SCHEMA public TO {ROLE}"
    run(
        database,
        f"GRANT CREATE ON SCHEMA public TO {ROLE}",
        f"GRANT ALL ON ALL TABLES {everything}",
        f"GRANT ALL ON ALL SEQUENCES {everything}",
    )
    began = monotonic()
    line = refusal(restricted)
    assert monotonic() - began < 2
    assert line == "the database can't be migrated: must be owner of table answers"


HOSTILE = {
    "statement_timeout": "'1s'",
    "lock_timeout": "'5ms'",
    "default_transaction_read_only": "on",
    "default_transaction_isolation": "'serializable'",
    "standard_conforming_strings": "off",
}


STATED = {
    "statement_timeout": "1h",
    "lock_timeout": "10s",
    "default_transaction_read_only": "off",
    "default_transaction_isolation": "read committed",
    "standard_conforming_strings": "on",
    "search_path": "public",
}


def hostile(database: str) -> None:
    run(database, *(f"ALTER ROLE {USER} IN DATABASE {NAME} SET {name} = {value}" for name, value in HOSTILE.items()))


def test_a_migration_states_the_settings_that_it_relies_on(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found: dict[str, str] = {}

    def read_settings(engine: Engine) -> None:
        with engine.connect() as connection:
            for name in STATED:
                found[name] = str(connection.exec_driver_sql(f"SHOW {name}").scalar())

    hostile(database)
    monkeypatch.setattr(migrations, "upgrade", read_settings)
    with pytest.raises(CannotOpen):
        open_storage(database).prepare()
    assert found == STATED


@pytest.mark.parametrize("revision", [None, THIRD])
def test_settings_of_the_role_do_not_break_the_migration(database: str, revision: str | None) -> None:
    if revision is not None:
        create(database, revision)
        fill_third(database)
    hostile(database)
    assert list(open_storage(database).prepare()) == []
    with closing(migrate(database)) as shop:
        assert shop.wrong() == []


@pytest.mark.parametrize(
    ("error", "attempts"),
    [(errors.LockNotAvailable, 2), (errors.UniqueViolation, 2), (errors.InsufficientPrivilege, 1)],
)
def test_only_what_another_migration_causes_is_retried(
    database: str, monkeypatch: pytest.MonkeyPatch, error: type[psycopg.Error], attempts: int
) -> None:
    failing = [ProgrammingError("CREATE TABLE", None, error("as the server says"))]
    calls: list[None] = []
    upgrade = migrations.upgrade

    def upgrade_later(engine: Engine) -> None:
        calls.append(None)
        if failing:
            raise failing.pop()
        upgrade(engine)

    monkeypatch.setattr(migrations, "upgrade", upgrade_later)
    if attempts == 1:
        assert refusal(database) == "the database can't be migrated: as the server says"
    else:
        open_storage(database).prepare()
    assert len(calls) == attempts


def test_a_migration_that_leaves_no_schema_is_no_success(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrations, "upgrade", lambda _: None)
    assert "holds no shop" in refusal(database)
