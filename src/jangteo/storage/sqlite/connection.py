"""Connections to a shop's SQLite file, in WAL mode; every commit is flushed to disk before it is answered."""

import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from itertools import chain, count
from pathlib import Path
from time import monotonic, sleep
from typing import Final

import msgspec
from sqlalchemy import Table

from jangteo.storage.errors import Broken, Conflict, FileLost, StorageError, Unavailable
from jangteo.storage.lookups import Lookups
from jangteo.storage.port import GuardedChange, Insert, Row, Session, Snapshot, TableIds, Value
from jangteo.storage.schema import COUNTED_TABLES
from jangteo.storage.sqlite.checkpoints import Checkpointer
from jangteo.storage.sqlite.files import ShopFiles
from jangteo.storage.sqlite.statements import (
    change_row,
    delete_found,
    insert_row,
    insert_rows,
    join_texts,
    largest_ids,
    set_cache_size,
    with_id,
    with_ids,
)

BUSY_TIMEOUT_MS: Final = 5_000
_CACHED_STATEMENTS: Final = 256
_INSERTED_AT_ONCE: Final = (32, 8)
"""Rows of one statement, which take two thirds of the time of as many statements (measured)."""
_WRITING_CACHE_KIB: Final = 8_192
"""For a connection that commits: no other one does, so what it has read stays valid."""
_READING_CACHE_KIB: Final = 2_048
"""For the others: each commit empties it, so it serves one snapshot only. A large one is filled by every long query."""
_WRITE: Final = "BEGIN IMMEDIATE"
_SWITCH_PAUSE_S: Final = 0.01
_connection_ids = count(1)

# Primary result codes of a database that is full, corrupt, locked or read-only.
_UNAVAILABLE_CODES: Final = frozenset(
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


def open_connection(
    path: Path, check: Callable[[], None] = lambda: None, *, commits: bool = False
) -> sqlite3.Connection:
    """Open a connection with explicit transactions and durable commits, to a file that is there. Raises sqlite3.Error.

    `check` is called when the file is open and nothing is read yet; what it raises is raised. `commits` says that the
    connection is going to commit, which gives it a large cache.
    """
    raw = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw",
        uri=True,
        timeout=BUSY_TIMEOUT_MS / 1000,
        isolation_level=None,
        cached_statements=_CACHED_STATEMENTS,
    )
    try:
        check()
        _switch_to_wal(raw)
        raw.execute("PRAGMA synchronous = FULL")
        raw.execute(set_cache_size(_WRITING_CACHE_KIB if commits else _READING_CACHE_KIB))
        # Checkpoints are made beside the commits: see checkpoints.py.
        raw.execute("PRAGMA wal_autocheckpoint = 0")
    except BaseException:
        raw.close()
        raise
    return raw


def _switch_to_wal(raw: sqlite3.Connection) -> None:
    """Switch a new or restored database to WAL mode; later connections find it switched.

    SQLite refuses at once when several connections try to switch at the same time, whatever the busy timeout is.
    """
    give_up_at = monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            raw.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or monotonic() > give_up_at:
                raise
            sleep(_SWITCH_PAUSE_S)
        else:
            return


def translate(error: Exception) -> StorageError:
    """Translate an error of the driver to one of the port's; the only place that does."""
    code = getattr(error, "sqlite_errorcode", None)
    # The low byte of an extended result code is the primary one.
    if code is not None and code & 0xFF in _UNAVAILABLE_CODES:
        return Unavailable(f"SQLite: {error}")
    return Broken(f"SQLite: {error}")


class SqliteSnapshot:
    """The port's `Snapshot`: a read transaction."""

    def __init__(self, raw: sqlite3.Connection, now: datetime, connection_id: int) -> None:
        self._raw = raw
        self.now = now
        self.connection_id = connection_id
        self._lookups = Lookups(self.find)

    def rows(self, sql: str, **values: Value) -> list[Row]:
        """Run a statement and fetch its rows."""
        return self._raw.execute(sql, values).fetchall()

    def send(self, sql: str, **values: Value) -> list[Row]:
        """Run a statement and fetch its rows at once: there is no round trip to save."""
        return self.rows(sql, **values)

    def find(self, sql: str, ids: Collection[int]) -> list[Row]:
        """Fetch rows by ids."""
        if len(ids) == 1:
            # A third faster than an array of one (measured).
            (one,) = ids
            return self._raw.execute(with_id(sql), {"id": one}).fetchall()
        return self._raw.execute(with_ids(sql), {"ids": _as_json(ids)}).fetchall()

    def look_up(self, sql: str, key: int) -> Iterable[Row]:
        """Collect a query by one id: together they take a fifth of the time of one by one (measured)."""
        return self._lookups.add(sql, key)

    def finish(self) -> None:
        """Fetch what was collected."""
        self._lookups.send()

    def lines(self, sql: str, ids: Collection[int]) -> str:
        """Fetch texts by ids, one per line.

        The database concatenates them. Fetching each one means taking the interpreter's lock again, which in a rush
        cost a seventh of the orders a second (measured).
        """
        row = self._raw.execute(join_texts(with_ids(sql)), {"ids": _as_json(ids)}).fetchone()
        return "" if row is None else str(row[0])

    def counted_ids(self) -> list[TableIds]:
        """Fetch the largest ids, which new ones follow: no counter beside the tables can be behind them."""
        largest = self._raw.execute(largest_ids(COUNTED_TABLES)).fetchone()
        return [TableIds(table.name, each, each) for table, each in zip(COUNTED_TABLES, largest, strict=True)]


class SqliteSession:
    """The port's `Session`: a write transaction."""

    def __init__(self, raw: sqlite3.Connection, constants: dict[str, list[Row]]) -> None:
        self._raw = raw
        self._constants = constants

    def rows(self, sql: str, **values: Value) -> list[Row]:
        """Run a statement and fetch its rows."""
        return self._raw.execute(sql, values).fetchall()

    def constant(self, sql: str) -> list[Row]:
        """Run a statement once per connection; return the rows of the first run."""
        if sql not in self._constants:
            self._constants[sql] = self.rows(sql)
        return self._constants[sql]

    def lock(self, table: Table, sql: str, ids: Collection[int]) -> list[Row]:  # noqa: ARG002 - the port's own signature
        """Fetch rows by ids. No lock is needed: BEGIN IMMEDIATE excludes other writers."""
        return self.find(sql, ids)

    def find(self, sql: str, ids: Collection[int] | Collection[str]) -> list[Row]:
        """Fetch rows by ids."""
        return self._raw.execute(with_ids(sql), {"ids": _as_json(ids)}).fetchall()

    def new_ids(self, counts: Mapping[Table, int]) -> Mapping[Table, Iterable[int]]:
        """Return the ids after the largest: the newest row of these tables is never deleted."""
        largest = self._raw.execute(largest_ids(tuple(counts))).fetchone()
        pairs = zip(counts.items(), largest, strict=True)
        return {table: range(before + 1, before + 1 + count) for (table, count), before in pairs}

    def insert(self, insert: Insert, rows: Sequence[Row]) -> None:
        """Write new rows."""
        done = 0
        for size in _INSERTED_AT_ONCE:
            while len(rows) - done >= size:
                values = list(chain.from_iterable(rows[done : done + size]))
                self._raw.execute(insert_rows(insert, size), values)
                done += size
        if done < len(rows):
            self._raw.executemany(insert_row(insert), rows[done:])

    def import_rows(self, insert: Insert, rows: Sequence[Row]) -> None:
        """Write rows of another database; new ids continue after the largest anyway."""
        self.insert(insert, rows)

    def change(self, change: GuardedChange, rows: Sequence[Row]) -> None:
        """Change rows. Raises Conflict if a guarded one is no longer as it was loaded."""
        changed = self._raw.executemany(change_row(change), rows).rowcount
        if change.guards and changed != len(rows):
            raise Conflict(f"{len(rows) - changed} row(s) of {change.table.name} were changed since they were loaded")

    def remove(self, table: Table, ids: Collection[int]) -> None:
        """Delete rows by their ids."""
        self._raw.execute(with_ids(f"DELETE FROM {table.name} WHERE id IN (:ids)"), {"ids": _as_json(ids)})

    def delete(self, table: Table, sql: str, **values: Value) -> None:
        """Delete the rows whose keys a query selects; no other transaction can have locked them."""
        self._raw.execute(delete_found(table, sql), values)

    def run(self, sql: str, **values: Value) -> None:
        """Run a statement without rows."""
        self._raw.execute(sql, values)


class SqliteConnection:
    """One connection of one thread. It is replaced when a failed transaction can't be rolled back."""

    def __init__(self, path: Path, files: ShopFiles) -> None:
        """Every transaction fails with FileLost once the files are not those that were opened."""
        self._path = path
        self._files = files
        self._checkpointer = Checkpointer(self._open)
        self._raw: sqlite3.Connection | None = None
        self._connection_id = 0
        self._constants: dict[str, list[Row]] = {}

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Commit durably at the end of the block; keep nothing if the block or the commit fails."""
        try:
            with self._transaction(_WRITE) as raw:
                yield SqliteSession(raw, self._constants)
            # What was committed may have gone into a file that no path leads to any more.
            self._files.check_commit()
        except FileLost:
            self._empty_log()
            raise
        if self._raw is not None:
            self._checkpointer.after_commit(self._raw)

    @contextmanager
    def snapshot(self, now: datetime) -> Iterator[Snapshot]:
        """Open a consistent view of everything committed before."""
        with self._transaction("BEGIN") as raw:
            yield SqliteSnapshot(raw, now, self._connection_id)

    def close(self) -> None:
        """Close the file; SQLite checkpoints the WAL when the last connection is closed."""
        self._checkpointer.close()
        if self._raw is not None:
            self._raw.close()
            self._raw = None

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        try:
            self._files.check_before()
            if self._raw is None:
                self._raw = self._open(commits=begin == _WRITE)
                self._connection_id = next(_connection_ids)
            self._raw.execute(begin)
            yield self._raw
            self._raw.execute("COMMIT")
        except BaseException as error:
            self._roll_back()
            # OverflowError, UnicodeError: the driver can't bind a value.
            if isinstance(error, sqlite3.Error | OverflowError | UnicodeError):
                raise translate(error) from error
            raise

    def _empty_log(self) -> None:
        """Write what only a lost write-ahead log holds into the database file, if that is where it was."""
        if self._raw is not None and self._files.loss() is None:
            with suppress(sqlite3.Error):
                self._raw.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()

    def _open(self, *, commits: bool = False) -> sqlite3.Connection:
        return open_connection(self._path, self._files.check, commits=commits)

    def _roll_back(self) -> None:
        if self._raw is None:
            return
        try:
            if self._raw.in_transaction:
                self._raw.execute("ROLLBACK")
        except sqlite3.Error:
            # Closing the connection drops the transaction.
            self.close()


def _as_json(ids: Collection[int] | Collection[str]) -> str:
    return msgspec.json.encode(sorted(ids)).decode()
