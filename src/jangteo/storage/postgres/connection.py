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

from jangteo.storage import schema
from jangteo.storage.errors import Broken, Conflict, StorageError, Unavailable
from jangteo.storage.port import GuardedChange, Row, Session, Snapshot
from jangteo.storage.postgres.compatibility import CompatibilityCheck
from jangteo.storage.postgres.pipeline import Pipeline
from jangteo.storage.postgres.session import BEGIN, COMMIT, PostgresSession, PostgresSnapshot
from jangteo.storage.postgres.statements import GUARD_MARKER
from jangteo.storage.timestamps import to_micros

log = structlog.get_logger()

CONNECT_TIMEOUT_S: Final = 5
WRITER_RETENTION_US: Final = 7 * 24 * 3600 * 1_000_000
"""How long the row of a connection that no longer commits is kept."""
RESOLVE_TIMEOUT_S: Final = 15.0
"""How long an unknown commit outcome is resolved before its batch fails as not known."""
RESOLVE_PAUSE_S: Final = 0.1
_connection_ids = count(1)

_TRANSACTION_COUNTER: Final = GuardedChange(schema.writers, ("transactions", "seen_at"), ("transactions",))
# Batches find and change rows by key only, so a statement is planned once for index scans and the plan is used until
# plan-cache invalidation; planning each time took a third of a lone order's time (measured). Selecting from pg_settings
# leaves out settings that the server doesn't have.
# The idle timeout releases the locks of a host that was cut off within a transaction after seconds.
PLAN_BY_KEYS: Final = """
    SELECT set_config(name, CASE name WHEN 'plan_cache_mode' THEN 'force_generic_plan'
        WHEN 'idle_in_transaction_session_timeout' THEN '5s' ELSE 'off' END, FALSE)
    FROM pg_settings WHERE name IN ('plan_cache_mode', 'enable_seqscan', 'jit', 'idle_in_transaction_session_timeout')
"""
_CONFLICTS: Final = (errors.SerializationFailure, errors.DeadlockDetected, errors.UniqueViolation)
_UNAVAILABLE_STATES: Final = ("08", "25", "28", "3D", "42501", "53", "55", "57", "58", "F0", "XX")
"""Prefixes of the SQLSTATEs of a server that is shutting down, full, locked, read-only, or broken."""


def open_connection(url: str) -> psycopg.Connection[Row]:
    """Open a connection with explicit transactions and durable commits. Raises the driver's errors."""
    raw: psycopg.Connection[Row] = psycopg.connect(
        url,
        autocommit=True,
        connect_timeout=CONNECT_TIMEOUT_S,
        application_name="jangteo",
        client_encoding="UTF8",
        # A broken network is noticed within seconds, not within hours.
        keepalives_idle=5,
        keepalives_interval=2,
        keepalives_count=3,
        tcp_user_timeout=10_000,
    )
    # Whatever the server's defaults are: a commit is flushed before it is answered, and no lock is waited for forever.
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
    """Translate an error of the driver to one of the port's; the only place that does."""
    message = f"PostgreSQL: {_line(error)}"
    if isinstance(error, _CONFLICTS) or _is_lost_guard(error):
        return Conflict(message)
    state = getattr(error, "sqlstate", None)
    if state is None and isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return Unavailable(message)
    if state is not None and state.startswith(_UNAVAILABLE_STATES):
        return Unavailable(message)
    return Broken(message)


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

    def __init__(self, url: str) -> None:
        self._url = url
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
                self._plan_by_keys(pipeline)
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
        """Close the connection."""
        if self._pipeline is not None:
            self._pipeline.close()
            self._pipeline = None

    def _open(self) -> Pipeline:
        if self._pipeline is None or self._pipeline.closed:
            self._pipeline = None
            self._pipeline = Pipeline(open_connection(self._url))
            self._plans_by_keys = False
            self._connection_id = next(_connection_ids)
        self._pipeline.invalidate_plans()
        return self._pipeline

    def _plan_by_keys(self, pipeline: Pipeline) -> None:
        pipeline.send(PLAN_BY_KEYS)
        pipeline.sync()
        self._plans_by_keys = True

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
                raise _ConnectionLost(f"PostgreSQL: {_line(error)}") from error
            if not isinstance(error, psycopg.Error | OverflowError | ValueError):
                raise
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

        Raises Unavailable if that can't be resolved within RESOLVE_TIMEOUT_S.
        """
        deadline = monotonic() + RESOLVE_TIMEOUT_S
        while True:
            try:
                return self._resolve(self._open())
            except Exception as error:
                # Whatever the error is: an unknown outcome must not be reported as a failure.
                if monotonic() > deadline:
                    self._writer_id = None
                    raise Unavailable(f"whether this was committed is not known: {_line(error)}") from error
                log.warning("commit outcome unknown, retrying", reason=_line(error))
                self.close()
                sleep(RESOLVE_PAUSE_S)

    def _resolve(self, pipeline: Pipeline) -> bool:
        # The UPDATE waits for the lost transaction if it is still running. If the counter hasn't moved, it is set to a
        # negative value here, and statements of the lost transaction that arrive later fail at their guard. The value
        # is negative so that a repeated call, after this one's own answer was lost, still finds that it didn't commit.
        # The UPDATE writes in either case, so that this commit waits for a synchronous standby that the lost one may
        # not have waited for.
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
        return list(counter) == [(self._transactions + 1,)]


class _ConnectionLost(Conflict):
    """The connection was lost. Nothing is kept, unless it was lost during the commit."""


def _now() -> int:
    return to_micros(datetime.now(UTC))


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
