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
from jangteo.storage.compatibility import (
    SchemaState,
    check_own_revision,
    check_usable,
    examine_schema,
    holds_shop,
    read_state,
)
from jangteo.storage.diagnosis import Diagnosis
from jangteo.storage.errors import CannotOpen
from jangteo.storage.port import DATABASE_TIMEOUT_S, LONG_TIMEOUT_S, Row
from jangteo.storage.postgres.connecting import cut_after
from jangteo.storage.postgres.connection import PostgresConnection, open_connection
from jangteo.storage.postgres.durability import examine_durability
from jangteo.storage.postgres.examination import examine_server, examine_shop, examined
from jangteo.storage.postgres.pooler import refuse_moving_backend
from jangteo.storage.postgres.rights import check_may_create, check_may_read, check_may_write
from jangteo.storage.postgres.search_path import read_tables
from jangteo.storage.postgres.sequences import advance_sequences
from jangteo.url_secrets import is_torn

OLDEST_VERSION: Final = 14
_MIGRATION_ATTEMPTS: Final = 10
"""How often a migration is attempted while others migrate, too; each attempt may wait for their locks for 10 s."""
_MIGRATION_PAUSE_S: Final = 0.25
_NAME: Final = "the database"
_MIGRATION_TIMEOUT_S: Final = 3_600.0
"""How long a migration may take, and any statement of it. Locks are waited for as long as in any session."""
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
        if is_torn(url):
            # The library would take a piece of the password for a host or a name, and quote it.
            raise CannotOpen(_INVALID_URL)
        self._url = url

    def prepare(self) -> Sequence[str]:
        """Create or migrate the schema, and advance sequences that are behind; several processes may do so at once.

        Raises CannotOpen, having changed nothing, if the server can't be reached, is a standby or too old, the role
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
        return [*self.check(writes=True), *self._advance_sequences()]

    def check(self, *, writes: bool = False) -> Sequence[str]:
        """Check that this version may use the database. Changes nothing."""
        with self._opened() as (raw, state):
            notices = check_usable(state, _NAME)
            if writes:
                check_may_write(raw)
        return notices

    def durability(self) -> list[Diagnosis]:
        """Examine the server's settings, unlogged tables and standbys."""
        with examined(self._url) as raw:
            return examine_durability(raw)

    def examine(self) -> Iterator[Diagnosis]:
        """Examine the server, then the schema, then the shop."""
        with examined(self._url) as raw:
            yield from examine_server(raw)
            yield examine_schema(self.check())
            yield from examine_shop(raw)

    def take(self) -> None:
        """Only check: several servers may use the database."""
        with self._opened() as (_, state):
            check_own_revision(state, _NAME)

    def connect(self, timeout_s: float = LONG_TIMEOUT_S) -> PostgresConnection:
        """Return a new connection for the calling thread; it connects at its first use."""
        return PostgresConnection(self._url, timeout_s)

    def kept_files(self) -> tuple[int, ...]:
        """Return nothing: there is no lock file."""
        return ()

    def identity(self) -> str:
        """Return nothing: the files are PostgreSQL's own business."""
        return ""

    def expect(self, identity: str, *, logs: bool = False) -> None:
        """Do nothing."""

    def loss(self) -> None:
        """Return nothing: the files are PostgreSQL's own business."""

    def close(self) -> None:
        """Do nothing: there is no lock to release."""

    def _is_older(self) -> bool:
        """Whether a migration is missing; the role may then create tables. Raises CannotOpen."""
        with self._opened() as (raw, state):
            if state.is_older:
                check_may_create(raw)
        return state.is_older

    def _upgrade(self) -> None:
        with open_connection(self._url) as raw, cut_after(raw, _MIGRATION_TIMEOUT_S):
            raw.execute("SELECT set_config('statement_timeout', %s, FALSE)", [f"{_MIGRATION_TIMEOUT_S:.0f}s"])
            raw.autocommit = False
            migrations.upgrade(create_engine("postgresql+psycopg://", creator=lambda: raw, poolclass=pool.NullPool))

    def _advance_sequences(self) -> list[str]:
        """Advance the sequences that are behind, and return a line for each."""
        with _failing_as_cannot_open(), open_connection(self._url) as raw:
            advanced = advance_sequences(raw)
        return [
            f"the sequence of {table} was behind its table, and was advanced from {last:,} to {largest:,}"
            for table, last, largest in advanced
        ]

    @contextmanager
    def _opened(self) -> Iterator[tuple[psycopg.Connection[Row], SchemaState]]:
        """Connect, and read the state of the schema. Raises CannotOpen if this version can't use it."""
        with (
            _failing_as_cannot_open(),
            open_connection(self._url) as raw,
            cut_after(raw, DATABASE_TIMEOUT_S),
        ):
            _check_server(raw)
            refuse_moving_backend(raw, self._url)
            tables = read_tables(raw)
            if holds_shop(tables):
                check_may_read(raw)
            yield raw, read_state(tables, lambda sql: raw.execute(sql.encode()).fetchall(), _NAME)


_INVALID_URL: Final = (
    "the database's URL can't be read: write it as postgresql://USER:PASSWORD@HOST:PORT/NAME?OPTION=VALUE, and write "
    "any special character within a part of it as %XX"
)


@contextmanager
def _failing_as_cannot_open() -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        raise CannotOpen(f"PostgreSQL can't be used: {_line(error)}") from error


def _check_server(raw: psycopg.Connection[Row]) -> None:
    version = raw.info.server_version // 10_000
    if version < OLDEST_VERSION:
        raise CannotOpen(f"PostgreSQL {version} is too old: Jangteo needs {OLDEST_VERSION} or newer")
    if raw.info.parameter_status("server_encoding") != "UTF8":
        raise CannotOpen("the database's encoding must be UTF8: create it with ENCODING 'UTF8'")


def _is_of_another_migration(error: Exception) -> bool:
    # CommandError: it has just brought the schema to a revision that isn't known here.
    return isinstance(error, migrations.CommandError) or isinstance(_cause(error), _OF_OTHER_MIGRATIONS)


def _cause(error: Exception) -> BaseException:
    """Return the driver's own error: the one around it adds the statement and a link."""
    return (isinstance(error, DBAPIError) and error.orig) or error


def _line(error: Exception) -> str:
    cause = _cause(error)
    message = cause.diag.message_primary if isinstance(cause, psycopg.Error) else None
    return message or str(cause)
