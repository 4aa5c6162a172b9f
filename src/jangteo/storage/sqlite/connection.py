"""The embedded side: one file, write-ahead log, every commit flushed to disk before it is answered."""

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from itertools import count
from pathlib import Path
from typing import Final

import msgspec
from sqlalchemy import Table

from jangteo.storage.errors import Broken, Conflict, StorageError, Unavailable
from jangteo.storage.port import GuardedChange, Insert, Row, Session, Snapshot, Value
from jangteo.storage.sqlite.checkpoints import Checkpointer

BUSY_TIMEOUT_MS: Final = 5_000
_CACHED_STATEMENTS: Final = 256
_CACHE_KIB: Final = 65_536
_connection_ids = count(1)

# What a database that is full, broken, locked or read-only says; the commands themselves are not to blame.
_NOT_THE_COMMANDS_FAULT: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_READONLY,
    }
)


def open_connection(path: Path) -> sqlite3.Connection:
    """A connection as Jangteo uses it: transactions by hand, durable commits."""
    raw = sqlite3.connect(
        path,
        timeout=BUSY_TIMEOUT_MS / 1000,
        isolation_level=None,
        cached_statements=_CACHED_STATEMENTS,
    )
    try:
        raw.execute("PRAGMA journal_mode = WAL")
        raw.execute("PRAGMA synchronous = FULL")
        raw.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        # The log is folded beside the commits: see sqlite_log.py.
        raw.execute("PRAGMA wal_autocheckpoint = 0")
    except sqlite3.Error:
        raw.close()
        raise
    return raw


def translate(error: Exception) -> StorageError:
    """The one place where the driver's errors become the port's."""
    code = getattr(error, "sqlite_errorcode", None)
    # The low byte is the kind of error, whatever its details.
    if code is not None and code & 0xFF in _NOT_THE_COMMANDS_FAULT:
        return Unavailable(f"SQLite: {error}")
    return Broken(f"SQLite: {error}")


class SqliteSnapshot:
    """What one connection sees of everything committed before."""

    def __init__(self, raw: sqlite3.Connection, now: datetime, connection_id: int) -> None:
        self._raw = raw
        self.now = now
        self.connection_id = connection_id

    def rows(self, sql: str, **values: Value) -> list[Row]:
        """Run one statement and fetch what it finds."""
        return self._raw.execute(sql, values).fetchall()

    def send(self, sql: str, **values: Value) -> list[Row]:
        """The same: there is no way to wait for."""
        return self.rows(sql, **values)

    def find(self, sql: str, ids: Collection[int]) -> list[Row]:
        """Find rows by ids."""
        return self._raw.execute(_with_ids(sql), {"ids": _as_json(ids)}).fetchall()

    def lines(self, sql: str, ids: Collection[int]) -> str:
        """Find texts by ids.

        They are put together by the database. Fetched one by one, each would cost the thread a turn at the
        interpreter, in the middle of a rush (measured: a seventh of the orders a second).
        """
        found = self._raw.execute(_together(_with_ids(sql)), {"ids": _as_json(ids)}).fetchone()
        return "" if found is None else str(found[0])


class SqliteSession:
    """One transaction on one connection."""

    def __init__(self, raw: sqlite3.Connection, constants: dict[str, list[Row]]) -> None:
        self._raw = raw
        self._constants = constants

    def rows(self, sql: str, **values: Value) -> list[Row]:
        """Run one statement and fetch what it finds."""
        return self._raw.execute(sql, values).fetchall()

    def constant(self, sql: str) -> list[Row]:
        """What a statement found the first time."""
        if sql not in self._constants:
            self._constants[sql] = self.rows(sql)
        return self._constants[sql]

    def lock(self, table: Table, sql: str, ids: Collection[int]) -> list[Row]:  # noqa: ARG002 - the port's own signature
        """Find rows by ids; there is one writer, so nothing needs to be held."""
        return self.find(sql, ids)

    def find(self, sql: str, ids: Collection[int] | Collection[str]) -> list[Row]:
        """Find rows by ids."""
        return self._raw.execute(_with_ids(sql), {"ids": _as_json(ids)}).fetchall()

    def new_ids(self, counts: Mapping[Table, int]) -> Mapping[Table, Iterable[int]]:
        """The newest row of these tables is never deleted, so the largest id and one is always new."""
        largest = self._raw.execute(_largest_ids(tuple(counts))).fetchone()
        pairs = zip(counts.items(), largest, strict=True)
        return {table: range(before + 1, before + 1 + count) for (table, count), before in pairs}

    def insert(self, insert: Insert, rows: Sequence[Row]) -> None:
        """Write new rows."""
        self._raw.executemany(_insert_sql(insert), rows)

    def bring_in(self, insert: Insert, rows: Sequence[Row]) -> None:
        """Write them as any others: new ids always begin behind the largest."""
        self.insert(insert, rows)

    def change(self, change: GuardedChange, rows: Sequence[Row]) -> None:
        """Change rows that must still be as they were loaded."""
        changed = self._raw.executemany(_change_sql(change), rows).rowcount
        if change.guards and changed != len(rows):
            raise Conflict(f"{len(rows) - changed} row(s) of {change.table.name} changed meanwhile")

    def remove(self, table: Table, ids: Collection[int]) -> None:
        """Delete rows by their ids."""
        self._raw.execute(_with_ids(f"DELETE FROM {table.name} WHERE id IN (:ids)"), {"ids": _as_json(ids)})

    def delete(self, table: Table, sql: str, **values: Value) -> None:
        """Delete the rows whose keys a query finds; there is one writer, so nobody else is at them."""
        self._raw.execute(_deletion(table, sql), values)

    def run(self, sql: str, **values: Value) -> None:
        """Run one statement."""
        self._raw.execute(sql, values)


class SqliteConnection:
    """One connection of one thread; opened anew where a failed transaction has left it unusable."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._checkpointer = Checkpointer(lambda: open_connection(path))
        self._raw: sqlite3.Connection | None = None
        self._connection_id = 0
        self._constants: dict[str, list[Row]] = {}

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Commits durably at the end, or keeps nothing."""
        with self._between("BEGIN IMMEDIATE") as raw:
            yield SqliteSession(raw, self._constants)
        if self._raw is not None:
            self._checkpointer.after_commit(self._raw)

    @contextmanager
    def snapshot(self, now: datetime) -> Iterator[Snapshot]:
        """What was committed before."""
        with self._between("BEGIN") as raw:
            yield SqliteSnapshot(raw, now, self._connection_id)

    def close(self) -> None:
        """Close the file; the last connection to close folds the log into the database."""
        self._checkpointer.close()
        if self._raw is not None:
            self._raw.close()
            self._raw = None

    @contextmanager
    def _between(self, begin: str) -> Iterator[sqlite3.Connection]:
        try:
            if self._raw is None:
                self._raw = open_connection(self._path)
                self._connection_id = next(_connection_ids)
            self._raw.execute(begin)
            yield self._raw
            self._raw.execute("COMMIT")
        except BaseException as error:
            self._roll_back()
            # OverflowError, UnicodeEncodeError: values that the driver itself can't hand to SQLite.
            if isinstance(error, sqlite3.Error | OverflowError | UnicodeError):
                raise translate(error) from error
            raise

    def _roll_back(self) -> None:
        if self._raw is None:
            return
        try:
            if self._raw.in_transaction:
                self._raw.execute("ROLLBACK")
        except sqlite3.Error:
            # What can't be rolled back is dropped with its connection.
            self.close()


def _as_json(ids: Collection[int] | Collection[str]) -> str:
    return msgspec.json.encode(sorted(ids)).decode()


@cache
def _together(texts: str) -> str:
    return f"""
        SELECT group_concat(text, char(10)) OVER everything FROM ({texts}) AS found
        WINDOW everything AS (ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)
        LIMIT 1
    """


@cache
def _with_ids(sql: str) -> str:
    return sql.replace("(:ids)", "(SELECT value FROM json_each(:ids))")


@cache
def _largest_ids(tables: tuple[Table, ...]) -> str:
    return "SELECT " + ", ".join(f"(SELECT COALESCE(MAX(id), 0) FROM {table.name})" for table in tables)


@cache
def _deletion(table: Table, found: str) -> str:
    (key,) = table.primary_key.columns.keys()
    return f"DELETE FROM {table.name} WHERE {key} IN ({found})"


@cache
def _insert_sql(insert: Insert) -> str:
    values = ", ".join("?" * len(insert.columns))
    return f"INSERT INTO {insert.table.name} ({', '.join(insert.columns)}) VALUES ({values})"


@cache
def _change_sql(change: GuardedChange) -> str:
    columns = ", ".join(f"{column} = ?" for column in change.set_columns)
    found = " AND ".join(["id = ?", *(f"{column} IS ?" for column in change.guards)])
    return f"UPDATE {change.table.name} SET {columns} WHERE {found}"
