"""The PostgreSQL side: one connection, one batch at a time; a commit is known to have landed or not.

READ COMMITTED, with the rows held that a batch changes. Where others come first it is a Conflict, and the whole batch
is tried again. All of it is plain SQL, without advisory locks or notifications.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from secrets import randbits
from time import monotonic, sleep
from typing import Any, Final

import psycopg
import structlog
from psycopg import errors
from psycopg.types.numeric import Int8BinaryDumper, Int8Dumper
from sqlalchemy import Table

from jangteo.storage import schema
from jangteo.storage.errors import Broken, Conflict, StorageError, Unavailable
from jangteo.storage.moments import micros
from jangteo.storage.port import GuardedChange, Insert, Row, Session, Snapshot, Value
from jangteo.storage.postgres_sql import Write, columns_of, deleted, named, new_ids, with_ids, written

log = structlog.get_logger()

CONNECT_TIMEOUT_S: Final = 5
FORGET_WRITERS_AFTER_US: Final = 7 * 24 * 3600 * 1_000_000
FIND_OUT_WITHIN_S: Final = 15.0
"""So long a batch whose commit was not heard of waits for the database to come back and tell."""
FIND_OUT_PAUSE_S: Final = 0.1

_BEGIN: Final = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
_BEGIN_READING: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_TURN: Final = GuardedChange(schema.writers, ("transactions", "seen_at"), ("transactions",))
_COMES_FIRST: Final = (
    errors.SerializationFailure,
    errors.DeadlockDetected,
    errors.UniqueViolation,
    # A guarded change that found less than it should: see postgres_sql.written.
    errors.DivisionByZero,
)
_NOT_THE_COMMANDS_FAULT: Final = ("08", "25", "28", "3D", "42501", "53", "55", "57", "58", "F0", "XX")
"""How the codes begin of what a server says that is closing, full, locked, read-only, or broken."""


def open_connection(url: str) -> psycopg.Connection[Row]:
    """A connection as Jangteo uses it: transactions by hand, every integer a BIGINT, commits that are flushed."""
    raw: psycopg.Connection[Row] = psycopg.connect(
        url,
        autocommit=True,
        prepare_threshold=0,
        connect_timeout=CONNECT_TIMEOUT_S,
        application_name="jangteo",
        # A server that is cut off is noticed within seconds, not within hours.
        keepalives_idle=5,
        keepalives_interval=2,
        keepalives_count=3,
        tcp_user_timeout=10_000,
    )
    raw.adapters.register_dumper(int, Int8Dumper)
    raw.adapters.register_dumper(int, Int8BinaryDumper)
    # Whatever the server's defaults are: what is answered is on disk, and what hangs is given up.
    raw.execute(
        """
        SELECT set_config('synchronous_commit', CASE current_setting('synchronous_commit')
                WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, FALSE),
            set_config('lock_timeout', '10s', FALSE),
            set_config('idle_in_transaction_session_timeout', '60s', FALSE)
        """
    )
    return raw


def translate(error: Exception) -> StorageError:
    """The one place where the driver's errors become the port's."""
    if isinstance(error, _COMES_FIRST):
        return Conflict(f"PostgreSQL: {_line(error)}")
    code = getattr(error, "sqlstate", None)
    if code is None and isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return Unavailable(f"PostgreSQL: {_line(error)}")
    if code is not None and code.startswith(_NOT_THE_COMMANDS_FAULT):
        return Unavailable(f"PostgreSQL: {_line(error)}")
    return Broken(f"PostgreSQL: {_line(error)}")


class PostgresSnapshot:
    """One moment of the database."""

    def __init__(self, raw: psycopg.Connection[Row], now: datetime) -> None:
        self._raw = raw
        self.now = now

    def rows(self, sql: str, **values: Value) -> list[Row]:
        """Run one statement and fetch what it finds."""
        return self._raw.execute(named(sql), values).fetchall()

    def lines(self, sql: str, ids: Collection[int]) -> str:
        """Find texts by ids."""
        rows = self._raw.execute(with_ids(sql, "bigint"), {"ids": sorted(ids)}).fetchall()
        return "\n".join(text for _, text in sorted(rows))


class PostgresSession:
    """One transaction. What changes is gathered, and written in one statement before it is read or committed."""

    def __init__(self, raw: psycopg.Connection[Row]) -> None:
        self._raw = raw
        self._begun = False
        self._writes: dict[Write, Sequence[Row]] = {}
        self.has_changes = False
        """Whether anything is to be written, or has been."""

    def rows(self, sql: str, **values: Value) -> list[Row]:
        """Run one statement and fetch what it finds."""
        return self._fetch(named(sql), values)

    def find(self, sql: str, ids: Collection[int] | Collection[str]) -> list[Row]:
        """Find rows by ids."""
        kind = "text" if isinstance(next(iter(ids), 0), str) else "bigint"
        return self._fetch(with_ids(sql, kind), {"ids": sorted(ids)})

    def hold(self, table: Table, sql: str, ids: Collection[int]) -> list[Row]:
        """Find rows by ids, and hold them."""
        return self._fetch(with_ids(sql, "bigint", table.name), {"ids": sorted(ids)})

    def new_ids(self, counts: Mapping[Table, int]) -> Mapping[Table, Iterable[int]]:
        """From the tables' sequences: what a transaction doesn't use in the end is never used."""
        found: list[list[int]] = [[] for _ in counts]
        for place, new_id in self._fetch(new_ids(tuple(counts)), list(counts.values())):
            found[place].append(new_id)
        return dict(zip(counts, found, strict=True))

    def insert(self, insert: Insert, rows: Sequence[Row]) -> None:
        """Have new rows written."""
        self._gather(insert, rows)

    def change(self, change: GuardedChange, rows: Sequence[Row]) -> None:
        """Have rows changed that must still be as they were loaded."""
        self._gather(change, rows)

    def delete(self, table: Table, sql: str, **values: Value) -> None:
        """Delete the rows whose keys a query finds, and wait for nobody."""
        self._begin()
        self._raw.execute(deleted(table, sql), values)

    def run(self, sql: str, **values: Value) -> None:
        """Run one statement."""
        self._begin()
        self._raw.execute(named(sql), values)

    def commit(self) -> None:
        """Write what has been gathered and commit, in one go."""
        if not self._begun and not self._writes:
            return
        self._begin()
        with self._raw.pipeline():
            self._write()
            self._raw.execute("COMMIT")

    def _gather(self, write: Write, rows: Sequence[Row]) -> None:
        if write in self._writes:
            self._write()
        self._writes[write] = rows
        self.has_changes = True

    def _write(self) -> None:
        if self._writes:
            self._begin()
            counts = [len(rows) for write, rows in self._writes.items() if isinstance(write, GuardedChange)]
            self._raw.execute(written(tuple(self._writes)), [*self._arrays(), *counts])
            self._writes.clear()

    def _arrays(self) -> Iterator[list[Any]]:
        for write, rows in self._writes.items():
            if len(columns_of(write)) != len(rows[0]):
                raise ValueError(f"a row of {write.table.name} has {len(rows[0])} values")
            yield from map(list, zip(*rows, strict=True))

    def _fetch(self, sql: str, values: Mapping[str, Any] | Sequence[Any]) -> list[Row]:
        # What was changed before is seen.
        self._write()
        self._begin()
        return self._raw.execute(sql, values).fetchall()

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            self._raw.execute(_BEGIN)


class PostgresConnection:
    """One connection of one thread, opened anew where it is lost.

    It has a row of its own, in which every transaction that writes counts on. When the connection is lost during a
    commit, that row tells whether it has landed; and by taking the turn itself, whoever asks makes sure that it never
    will if it hadn't. So nothing is written twice, and nothing is answered that isn't known.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._raw: psycopg.Connection[Row] | None = None
        self._writer: int | None = None
        self._transactions = 0

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Commits durably at the end, or keeps nothing."""
        try:
            raw = self._open()
        except psycopg.Error as error:
            raise translate(error) from error
        with self._undone_on_failure():
            if self._writer is None:
                self._register(raw)
            session = PostgresSession(raw)
            yield session
        if session.has_changes:
            # Its turn is written with all the rest: where the one is, the other is.
            session.change(_TURN, [(self._transactions + 1, _now(), self._writer, self._transactions)])
        try:
            with self._undone_on_failure():
                session.commit()
        except _Lost:
            if not (session.has_changes and self._has_landed()):
                self._writer = None
                raise
        except BaseException:
            self._writer = None
            raise
        self._transactions += session.has_changes

    @contextmanager
    def snapshot(self, now: datetime) -> Iterator[Snapshot]:
        """What was committed before."""
        with self._undone_on_failure():
            raw = self._begin_reading()
            yield PostgresSnapshot(raw, now)
            raw.execute("COMMIT")

    def close(self) -> None:
        """Close the connection."""
        if self._raw is not None:
            self._raw.close()
            self._raw = None

    def _open(self) -> psycopg.Connection[Row]:
        if self._raw is None or self._raw.closed:
            self._raw = open_connection(self._url)
        return self._raw

    def _begin_reading(self) -> psycopg.Connection[Row]:
        fresh = self._raw is None
        raw = self._open()
        try:
            raw.execute(_BEGIN_READING)
        except psycopg.OperationalError:
            # A connection that was idle may have been closed from the other side long ago.
            if fresh or not raw.closed:
                raise
            raw = self._open()
            raw.execute(_BEGIN_READING)
        return raw

    def _register(self, raw: psycopg.Connection[Row]) -> None:
        writer, now = randbits(53), _now()
        raw.execute("DELETE FROM writers WHERE seen_at < %s", [now - FORGET_WRITERS_AFTER_US])
        raw.execute("INSERT INTO writers (id, transactions, seen_at) VALUES (%s, 0, %s)", [writer, now])
        self._writer, self._transactions = writer, 0

    @contextmanager
    def _undone_on_failure(self) -> Iterator[None]:
        """Where the block fails, nothing is kept; and the driver's errors become the port's."""
        try:
            yield
        except BaseException as error:
            lost = self._roll_back()
            if not isinstance(error, psycopg.Error | OverflowError | ValueError):
                raise
            if lost and isinstance(error, psycopg.Error):
                raise _Lost(f"PostgreSQL: {_line(error)}") from error
            raise translate(error) from error

    def _roll_back(self) -> bool:
        """Undo what was begun: whether the connection was lost, or is dropped because that couldn't be done."""
        if self._raw is None or self._raw.closed:
            return self._raw is not None
        try:
            self._raw.execute("ROLLBACK")
        except psycopg.Error:
            self.close()
            return True
        return False

    def _has_landed(self) -> bool:
        """Whether the transaction whose commit was not heard of is in the database; if not, it never will be.

        Raises Unavailable where that can't be found out.
        """
        end = monotonic() + FIND_OUT_WITHIN_S
        while True:
            try:
                return self._find_out(self._open())
            except psycopg.Error as error:
                if monotonic() > end:
                    self._writer = None
                    raise Unavailable(f"whether this was written is not known: {_line(error)}") from error
                log.warning("commit not heard of", reason=_line(error))
                sleep(FIND_OUT_PAUSE_S)

    def _find_out(self, raw: psycopg.Connection[Row]) -> bool:
        # Waits for a transaction that is still at it. Where it comes to nothing its turn is taken here, and whatever
        # of it may still be on its way fails at its guard. A turn so taken is negative: this may be asked again, when
        # its own answer wasn't heard.
        raw.execute(
            "UPDATE writers SET transactions = -transactions - 1 WHERE id = %s AND transactions = %s",
            [self._writer, self._transactions],
        )
        found = raw.execute("SELECT transactions FROM writers WHERE id = %s", [self._writer]).fetchall()
        return found == [(self._transactions + 1,)]


class _Lost(Conflict):
    """The connection was lost. Nothing is kept, unless that was during the commit."""


def _now() -> int:
    return micros(datetime.now(UTC))


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
