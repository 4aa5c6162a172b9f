"""The database of a shop on PostgreSQL: checks the server and the schema before it is used, and migrates it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import sleep
from typing import Final

import psycopg
from psycopg import errors
from sqlalchemy import create_engine, pool
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from jangteo.storage import migrations
from jangteo.storage.compatibility import SchemaState, check_own_revision, check_usable, holds_shop, read_state
from jangteo.storage.errors import CannotOpen
from jangteo.storage.port import Row
from jangteo.storage.postgres.connection import PostgresConnection, open_connection
from jangteo.storage.postgres.rights import check_may_create, check_may_read, check_may_write
from jangteo.storage.postgres.search_path import enter_schema
from jangteo.storage.postgres.sequences import advance_sequences

OLDEST_VERSION: Final = 14
_MIGRATION_ATTEMPTS: Final = 10
"""How often a migration is attempted while others migrate, too; each attempt may wait for their locks for 10 s."""
_MIGRATION_PAUSE_S: Final = 0.25
_NAME: Final = "the database"
# What the role or the database may have set otherwise. Selecting from pg_settings leaves out what the server lacks.
_SETTINGS: Final = """
    SELECT set_config(name, CASE name
        WHEN 'lock_timeout' THEN '10s' WHEN 'default_transaction_isolation' THEN 'read committed'
        WHEN 'default_transaction_read_only' THEN 'off' WHEN 'standard_conforming_strings' THEN 'on' ELSE '0' END,
        FALSE)
    FROM pg_settings WHERE name IN ('lock_timeout', 'default_transaction_isolation', 'standard_conforming_strings',
        'default_transaction_read_only', 'statement_timeout', 'transaction_timeout')
"""
_OF_OTHER_MIGRATIONS: Final = (
    errors.SerializationFailure,
    errors.DeadlockDetected,
    errors.LockNotAvailable,
    errors.UniqueViolation,
    errors.DuplicateTable,
    errors.DuplicateObject,
)
"""What another migrating process can cause: one that waits for it, or creates the same table."""


class PostgresStorage:
    """A database that several processes and hosts may use at once."""

    shared = True

    def __init__(self, url: str) -> None:
        """Raises CannotOpen if the URL is invalid. Doesn't connect."""
        try:
            psycopg.conninfo.conninfo_to_dict(url)
        except psycopg.ProgrammingError:
            # The driver's message quotes the part it can't parse, which may be the password.
            raise CannotOpen(_INVALID_URL) from None
        self._url = url

    def prepare(self) -> Sequence[str]:
        """Create or migrate the schema, and advance sequences that are behind; several processes may do so at once.

        Raises CannotOpen, having changed nothing, if the server can't be reached, is read-only or too old, the role
        lacks rights, or the database belongs to another program or has a newer schema.
        """
        for attempt in range(1, _MIGRATION_ATTEMPTS + 1):
            if not self._is_older():
                break
            try:
                self._upgrade()
            except (SQLAlchemyError, psycopg.Error, migrations.CommandError) as error:
                if not _is_of_another_migration(error) or attempt == _MIGRATION_ATTEMPTS:
                    raise CannotOpen(f"the database can't be migrated: {_line(error)}") from error
                sleep(_MIGRATION_PAUSE_S)
        with self._opened() as (raw, state):
            check_may_write(raw)
            notices = check_usable(state, _NAME)
            advanced = advance_sequences(raw)
        return [
            *notices,
            *(
                f"the sequence of {table} was behind its table, and was advanced from {last:,} to {largest:,}"
                for table, last, largest in advanced
            ),
        ]

    def check(self, *, writes: bool = False) -> Sequence[str]:
        """Check that this version may use the database. Changes nothing."""
        with self._opened() as (raw, state):
            notices = check_usable(state, _NAME)
            if writes:
                check_may_write(raw)
        return notices

    def take(self) -> None:
        """Only check: several servers may use the database."""
        with self._opened() as (_, state):
            check_own_revision(state, _NAME)

    def connect(self) -> PostgresConnection:
        """Return a new connection for the calling thread; it connects at its first use."""
        return PostgresConnection(self._url)

    def kept_files(self) -> tuple[int, ...]:
        """Return nothing: there is no lock file."""
        return ()

    def close(self) -> None:
        """Do nothing: there is no lock to release."""

    def _is_older(self) -> bool:
        """Whether a migration is missing; the role may then create tables. Raises CannotOpen."""
        with self._opened() as (raw, state):
            if state.is_older:
                check_may_create(raw)
        return state.is_older

    def _upgrade(self) -> None:
        engine = create_engine("postgresql+psycopg://", creator=self._connect_to_migrate, poolclass=pool.NullPool)
        migrations.upgrade(engine)

    def _connect_to_migrate(self) -> psycopg.Connection[Row]:
        raw = open_connection(self._url)
        raw.execute(_SETTINGS)
        enter_schema(raw)
        raw.autocommit = False
        return raw

    @contextmanager
    def _opened(self) -> Iterator[tuple[psycopg.Connection[Row], SchemaState]]:
        """Connect, and read the state of the schema. Raises CannotOpen if this version can't use it."""
        try:
            with open_connection(self._url) as raw:
                raw.execute(_SETTINGS)
                _check_server(raw)
                tables = enter_schema(raw)
                if holds_shop(tables):
                    check_may_read(raw)
                yield raw, read_state(tables, lambda sql: raw.execute(sql.encode()).fetchall(), _NAME)
        except psycopg.Error as error:
            raise CannotOpen(f"PostgreSQL can't be used: {_line(error)}") from error


_INVALID_URL: Final = (
    "the database's URL can't be read: write it as postgresql://USER:PASSWORD@HOST:PORT/NAME?OPTION=VALUE, and write "
    "any special character within a part of it as %XX"
)


def _check_server(raw: psycopg.Connection[Row]) -> None:
    version = raw.info.server_version // 10_000
    if version < OLDEST_VERSION:
        raise CannotOpen(f"PostgreSQL {version} is too old: Jangteo needs {OLDEST_VERSION} or newer")
    if raw.info.parameter_status("server_encoding") != "UTF8":
        raise CannotOpen("the database's encoding must be UTF8: create it with ENCODING 'UTF8'")
    read_only = raw.execute("SELECT current_setting('transaction_read_only')").fetchall()[0][0]
    if read_only == "on":
        raise CannotOpen(
            "the server is read-only, perhaps a replica: name the primary, or several hosts with "
            "target_session_attrs=read-write"
        )


def _is_of_another_migration(error: Exception) -> bool:
    # CommandError: it has just brought the schema to a revision that isn't known here.
    return isinstance(error, migrations.CommandError) or isinstance(_cause(error), _OF_OTHER_MIGRATIONS)


def _cause(error: Exception) -> BaseException:
    """Return the driver's own error: the one around it adds the statement and a link."""
    return (isinstance(error, DBAPIError) and error.orig) or error


def _line(error: Exception) -> str:
    cause = _cause(error)
    message = cause.diag.message_primary if isinstance(cause, psycopg.Error) else None
    return " ".join((message or str(cause)).split())
