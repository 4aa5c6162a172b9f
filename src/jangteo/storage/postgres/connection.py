"""One PostgreSQL connection: it commits one batch at a time, and resolves a commit whose outcome is unknown.

Batches run at READ COMMITTED and lock the rows they change. A batch that loses against another transaction raises
Conflict and is retried whole. All of it is plain SQL, without advisory locks or notifications.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count
from secrets import randbits
from time import monotonic, sleep
from typing import Final

import psycopg
import structlog
from psycopg import errors

from jangteo.foreign_text import one_line
from jangteo.storage import schema
from jangteo.storage.errors import Broken, Conflict, StorageError, Unavailable, Unreachable
from jangteo.storage.port import DATABASE_TIMEOUT_S, GuardedChange, Row, Session, Snapshot
from jangteo.storage.postgres.compatibility import CompatibilityCheck
from jangteo.storage.postgres.connecting import POOLED, Attempts
from jangteo.storage.postgres.pipeline import Pipeline
from jangteo.storage.postgres.session import BEGIN, COMMIT, PostgresSession
from jangteo.storage.postgres.session_settings import check_session, plan_by_keys
from jangteo.storage.postgres.snapshot import PostgresSnapshot
from jangteo.storage.postgres.statements import GUARD_MARKER, MOVED_MARKER
from jangteo.storage.timestamps import to_micros

log = structlog.get_logger()

WRITER_RETENTION_US: Final = 7 * 24 * 3600 * 1_000_000
"""How long the row of a connection that no longer commits is kept."""
RESOLVE_PAUSE_S: Final = 0.1
_connection_ids = count(1)

_TRANSACTION_COUNTER: Final = GuardedChange(schema.writers, ("transactions", "seen_at"), ("transactions",))
_CONFLICTS: Final = (errors.SerializationFailure, errors.DeadlockDetected, errors.UniqueViolation)
_UNAVAILABLE_STATES: Final = ("08", "25", "28", "3D", "42501", "53", "55", "57", "58", "F0", "XX")
"""Prefixes of the SQLSTATEs of a server that is shutting down, full, locked, read-only, or broken."""


def open_connection(url: str, timeout_s: float = DATABASE_TIMEOUT_S) -> psycopg.Connection[Row]:
    """Open the library's own connection to a writable server, with explicit transactions and the session's settings.

    Raises the driver's errors.
    """
    attempts = Attempts(url, timeout_s)
    try:
        return attempts.wait(timeout_s).leave()
    finally:
        attempts.end()


def translate(error: Exception) -> StorageError:
    """Translate an error of the driver to one of the port's; the only place that does."""
    message = f"PostgreSQL: {error}"
    if isinstance(error, _CONFLICTS) or _is_lost_guard(error):
        return Conflict(message)
    if _is_moved(error):
        return Unavailable(f"PostgreSQL: {POOLED}")
    state = getattr(error, "sqlstate", None)
    if state is None and isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return Unavailable(message)
    if state is not None and state.startswith(_UNAVAILABLE_STATES):
        return Unavailable(message)
    return Broken(message)


def _is_moved(error: Exception) -> bool:
    """Whether a statement ran in a server process other than the session's own: see `Pipeline`."""
    marked = isinstance(error, errors.InvalidTextRepresentation) and MOVED_MARKER in str(error)
    return marked or isinstance(error, errors.InvalidSqlStatementName | _Moved)


def _is_lost_guard(error: Exception) -> bool:
    """Whether a guarded change found too few rows: see `statements.write_all`."""
    return isinstance(error, errors.InvalidTextRepresentation) and GUARD_MARKER in str(error)


class PostgresConnection:
    """One connection of one thread. It is replaced when it is lost.

    Each connection has a row of its own in `writers` with a counter of its transactions; every transaction that writes
    increments it. If the connection is lost during a commit, the counter shows whether that transaction committed. The
    check itself moves the counter on if it didn't, so that the lost transaction can't commit later. So nothing is
    written twice, and every answer is known to be true.
    """

    def __init__(self, url: str, timeout_s: float) -> None:
        """Every wait for the server ends after `timeout_s`: the connection is dropped then."""
        self._url = url
        self._timeout_s = timeout_s
        self._attempts: Attempts | None = None
        self._pipeline: Pipeline | None = None
        self._plans_by_keys = False
        self._writer_id: int | None = None
        self._transactions = 0
        self._constants: dict[str, list[Row]] = {}
        self._connection_id = 0
        self._compatibility = CompatibilityCheck()

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Commit durably at the end of the block; keep nothing if the block or the commit fails."""
        with self._rolling_back_on_error():
            pipeline = self._open()
            self._compatibility.run(pipeline, logs=True)
            if not self._plans_by_keys:
                plan_by_keys(pipeline)
                self._plans_by_keys = True
            if self._writer_id is None:
                self._register(pipeline)
            session = PostgresSession(pipeline, self._constants)
            yield session
        if session.has_changes:
            # The counter is written with the batch's changes: either both are committed or neither is.
            counter = (self._transactions + 1, _now(), self._writer_id, self._transactions)
            session.change(_TRANSACTION_COUNTER, [counter])
        try:
            with self._rolling_back_on_error():
                session.commit()
        except _ConnectionLost:
            if not (session.has_changes and self._did_commit()):
                self._writer_id = None
                raise
        except BaseException:
            self._writer_id = None
            raise
        self._transactions += session.has_changes

    @contextmanager
    def snapshot(self, now: datetime) -> Iterator[Snapshot]:
        """Open a consistent view of everything committed before."""
        with self._rolling_back_on_error():
            pipeline = self._open()
            # The writer has logged it.
            self._compatibility.run(pipeline, logs=False)
            snapshot = PostgresSnapshot(pipeline, now, self._connection_id)
            yield snapshot
            snapshot.close()

    def close(self) -> None:
        """Close the connection, and try no more to open it."""
        if self._attempts is not None:
            self._attempts.end()
        if self._pipeline is not None:
            self._pipeline.close()
            self._pipeline = None

    def _open(self) -> Pipeline:
        """Return the connection, opened again if it was lost. Raises Unreachable, and the driver's errors."""
        if self._pipeline is None or self._pipeline.closed:
            self._pipeline = None
            self._pipeline = self._connect()
            self._plans_by_keys = False
            self._connection_id = next(_connection_ids)
        if self._pipeline.invalidate_plans() and not check_session(self._pipeline):
            raise _Moved
        return self._pipeline

    def _connect(self) -> Pipeline:
        if self._attempts is None or self._attempts.over:
            self._attempts = Attempts(self._url, self._timeout_s)
        try:
            return self._attempts.wait()
        except psycopg.Error as error:
            raise Unreachable(f"PostgreSQL: {error}") from error

    def _register(self, pipeline: Pipeline) -> None:
        """Insert this connection's row with its transaction counter."""
        writer_id, now = randbits(53), _now()
        pipeline.send("DELETE FROM writers WHERE seen_at < $1", [now - WRITER_RETENTION_US])
        pipeline.send("INSERT INTO writers (id, transactions, seen_at) VALUES ($1, 0, $2)", [writer_id, now])
        pipeline.sync()
        self._writer_id, self._transactions = writer_id, 0

    @contextmanager
    def _rolling_back_on_error(self) -> Iterator[None]:
        """Roll back if the block fails, and translate the driver's errors. Raises _ConnectionLost if it was lost."""
        try:
            yield
        except BaseException as error:
            lost = self._roll_back()
            if lost and isinstance(error, Exception):
                raise _ConnectionLost(f"PostgreSQL: {error}") from error
            if not isinstance(error, psycopg.Error | OverflowError | ValueError):
                raise
            if _is_moved(error):
                self.close()
            raise translate(error) from error

    def _roll_back(self) -> bool:
        """Roll back the transaction. True if the connection was lost, or had to be closed because that failed."""
        if self._pipeline is None or self._pipeline.closed:
            return self._pipeline is not None
        try:
            self._pipeline.roll_back()
        except psycopg.Error:
            self.close()
            return True
        return False

    def _did_commit(self) -> bool:
        """Whether the transaction with the unknown outcome is committed; if it isn't, it never will be.

        Raises Unavailable if that can't be resolved within the connection's timeout.
        """
        deadline = monotonic() + self._timeout_s
        while True:
            try:
                return self._resolve(self._open())
            except Exception as error:
                # Whatever the error is: an unknown outcome must not be reported as a failure.
                if monotonic() > deadline:
                    self._writer_id = None
                    raise Unavailable(f"whether this was committed is not known: {error}") from error
                log.warning("commit outcome unknown, retrying", reason=one_line(str(error)))
                self.close()
                sleep(RESOLVE_PAUSE_S)

    def _resolve(self, pipeline: Pipeline) -> bool:
        # The UPDATE waits for the lost transaction if it is still running. If the counter hasn't moved, it is set to a
        # negative value here, and statements of the lost transaction that arrive later fail at their guard. The value
        # is negative so that a repeated call, after this one's own answer was lost, still finds that it didn't commit.
        # The UPDATE writes in either case, so that this commit waits for a synchronous standby that the lost one may
        # not have waited for; where this wait is cancelled, too, the outcome is still unknown.
        pipeline.send(BEGIN)
        pipeline.send(
            """
            UPDATE writers SET transactions = CASE transactions WHEN $2 THEN -transactions - 1 ELSE transactions END
            WHERE id = $1
            """,
            [self._writer_id, self._transactions],
        )
        counter = pipeline.send("SELECT transactions FROM writers WHERE id = $1", [self._writer_id])
        pipeline.send(COMMIT)
        pipeline.sync_commit()
        return list(counter) == [(self._transactions + 1,)]


class _Moved(psycopg.OperationalError):
    """The session's statements reach another server process than before."""


class _ConnectionLost(Conflict):
    """The connection was lost. Nothing is kept, unless it was lost during the commit."""


def _now() -> int:
    return to_micros(datetime.now(UTC))
