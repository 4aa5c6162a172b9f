"""The database of a shop on PostgreSQL: checks the server and the schema before it is used, and migrates it."""

import time
from collections.abc import Iterator
from typing import Final

import psycopg
from sqlalchemy import create_engine, pool
from sqlalchemy.exc import SQLAlchemyError

from jangteo.storage import migrations
from jangteo.storage.diagnosis import Diagnosis, ok
from jangteo.storage.errors import CannotOpen, NoShopYet
from jangteo.storage.port import LONG_TIMEOUT_S, Row
from jangteo.storage.postgres.connection import PostgresConnection, open_connection
from jangteo.storage.postgres.durability import examine_durability
from jangteo.storage.postgres.examination import examine_server, examine_shop, examined
from jangteo.storage.postgres.pooler import refuse_moving_backend

OLDEST_VERSION: Final = 14
_MIGRATION_ATTEMPTS: Final = 40
_MIGRATION_PAUSE_S: Final = 0.25


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

    def prepare(self) -> None:
        """Create or migrate the schema; several processes may do so at once.

        Raises CannotOpen, having changed nothing, if the server can't be reached, is read-only or too old, or the
        database belongs to another program or has a newer schema.
        """
        for attempt in range(1, _MIGRATION_ATTEMPTS + 1):
            if self._revision() == migrations.newest():
                return
            try:
                self._upgrade()
            except (SQLAlchemyError, migrations.CommandError) as error:
                # Another process is migrating, too.
                if attempt == _MIGRATION_ATTEMPTS:
                    raise CannotOpen(f"the database can't be migrated: {_line(error)}") from error
                time.sleep(_MIGRATION_PAUSE_S)

    def check(self) -> None:
        """Raise CannotOpen if this version can't use the database, NoShopYet if it has no schema. Changes nothing."""
        revision = self._revision()
        if revision is None:
            raise NoShopYet("the database holds no shop yet: jangteo migrate creates one")
        if revision != migrations.newest():
            raise CannotOpen("the database has the schema of an older version: jangteo migrate brings it to this one")

    def durability(self) -> list[Diagnosis]:
        """Examine the server's settings, unlogged tables and standbys."""
        with examined(self._url) as raw:
            return examine_durability(raw)

    def examine(self) -> Iterator[Diagnosis]:
        """Examine the server, then the schema, then the shop."""
        with examined(self._url) as raw:
            yield from examine_server(raw)
            self.check()
            yield ok("schema", f"{migrations.newest()}, this version's")
            yield from examine_shop(raw)

    def take(self) -> None:
        """Only check: several servers may use the database."""
        self.check()

    def connect(self, timeout_s: float = LONG_TIMEOUT_S) -> PostgresConnection:
        """Return a new connection for the calling thread; it connects at its first use."""
        return PostgresConnection(self._url, timeout_s)

    def kept_files(self) -> tuple[int, ...]:
        """Return nothing: there is no lock file."""
        return ()

    def close(self) -> None:
        """Do nothing: there is no lock to release."""

    def _upgrade(self) -> None:
        engine = create_engine(
            "postgresql+psycopg://", creator=lambda: psycopg.connect(self._url), poolclass=pool.NullPool
        )
        migrations.upgrade(engine)

    def _revision(self) -> str | None:
        """Return the schema's revision; None in an empty database. Raises CannotOpen if it can't be used."""
        try:
            with open_connection(self._url) as raw:
                _check_server(raw)
                refuse_moving_backend(raw, self._url)
                tables = {row[0] for row in raw.execute(_TABLES)}
                revisions = raw.execute(_REVISION).fetchall() if "alembic_version" in tables else []
        except psycopg.Error as error:
            raise CannotOpen(f"PostgreSQL can't be used: {_line(error)}") from error
        revision = str(revisions[0][0]) if revisions else None
        if tables and (revision is None or "ledger_entries" not in tables):
            raise CannotOpen("the database is another program's; nothing was changed")
        if revision is not None and not migrations.knows(revision):
            raise CannotOpen(
                f"the database has a newer schema ({revision}) than this version of Jangteo knows; "
                "upgrade Jangteo, nothing was changed"
            )
        return revision


_INVALID_URL: Final = (
    "the database's URL can't be read: write it as postgresql://USER:PASSWORD@HOST:PORT/NAME?OPTION=VALUE, and write "
    "any special character within a part of it as %XX"
)
_TABLES: Final = """
    SELECT relname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE nspname = current_schema() AND relkind IN ('r', 'p')
"""
_REVISION: Final = "SELECT version_num FROM alembic_version"


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


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
