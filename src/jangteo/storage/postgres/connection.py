"""The PostgreSQL side: one connection, one batch at a time; a commit is known to have landed or not.

READ COMMITTED, with the rows held that a batch changes. Where others come first it is a Conflict, and the whole batch
is tried again. All of it is plain SQL, without advisory locks or notifications.
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
from jangteo.storage.postgres.pipeline import Pipeline
from jangteo.storage.postgres.session import BEGIN, COMMIT, PostgresSession, PostgresSnapshot
from jangteo.storage.timestamps import to_micros

log = structlog.get_logger()

CONNECT_TIMEOUT_S: Final = 5
FORGET_WRITERS_AFTER_US: Final = 7 * 24 * 3600 * 1_000_000
RESOLVE_TIMEOUT_S: Final = 15.0
"""So long a batch whose commit was not heard of waits for the database to come back and tell."""
RESOLVE_PAUSE_S: Final = 0.1
_connection_ids = count(1)

_TURN: Final = GuardedChange(schema.writers, ("transactions", "seen_at"), ("transactions",))
# What a batch is loaded and changed by are keys, always. So its statements are planned once, for that, until the plans
# are renewed; planning each time took a third of a lone order's time (measured). Settings that a database doesn't know
# are left out.
# What a host that was cut off in the middle of a transaction holds, the others have again after seconds.
PLAN_BY_KEYS: Final = """
    SELECT set_config(name, CASE name WHEN 'plan_cache_mode' THEN 'force_generic_plan'
        WHEN 'idle_in_transaction_session_timeout' THEN '5s' ELSE 'off' END, FALSE)
    FROM pg_settings WHERE name IN ('plan_cache_mode', 'enable_seqscan', 'jit', 'idle_in_transaction_session_timeout')
"""
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
    """A connection as Jangteo uses it: transactions by hand, commits that are flushed."""
    raw: psycopg.Connection[Row] = psycopg.connect(
        url,
        autocommit=True,
        connect_timeout=CONNECT_TIMEOUT_S,
        application_name="jangteo",
        client_encoding="UTF8",
        # A server that is cut off is noticed within seconds, not within hours.
        keepalives_idle=5,
        keepalives_interval=2,
        keepalives_count=3,
        tcp_user_timeout=10_000,
    )
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


class PostgresConnection:
    """One connection of one thread, opened anew where it is lost.

    It has a row of its own, in which every transaction that writes counts on. When the connection is lost during a
    commit, that row tells whether it has landed; and by taking the turn itself, whoever asks makes sure that it never
    will if it hadn't. So nothing is written twice, and nothing is answered that isn't known.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._pipeline: Pipeline | None = None
        self._plans_by_keys = False
        self._writer: int | None = None
        self._transactions = 0
        self._constants: dict[str, list[Row]] = {}
        self._connection_id = 0

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Commits durably at the end, or keeps nothing."""
        with self._undone_on_failure():
            pipeline = self._open()
            if not self._plans_by_keys:
                self._plan_by_keys(pipeline)
            if self._writer is None:
                self._register(pipeline)
            session = PostgresSession(pipeline, self._constants)
            yield session
        if session.has_changes:
            # Its turn is written with all the rest: where the one is, the other is.
            session.change(_TURN, [(self._transactions + 1, _now(), self._writer, self._transactions)])
        try:
            with self._undone_on_failure():
                session.commit()
        except _Lost:
            if not (session.has_changes and self._did_commit()):
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
            snapshot = PostgresSnapshot(self._open(), now, self._connection_id)
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
        writer, now = randbits(53), _now()
        pipeline.send("DELETE FROM writers WHERE seen_at < $1", [now - FORGET_WRITERS_AFTER_US])
        pipeline.send("INSERT INTO writers (id, transactions, seen_at) VALUES ($1, 0, $2)", [writer, now])
        pipeline.sync()
        self._writer, self._transactions = writer, 0

    @contextmanager
    def _undone_on_failure(self) -> Iterator[None]:
        """Where the block fails, nothing is kept; and the driver's errors become the port's."""
        try:
            yield
        except BaseException as error:
            lost = self._roll_back()
            if lost and isinstance(error, Exception):
                raise _Lost(f"PostgreSQL: {_line(error)}") from error
            if not isinstance(error, psycopg.Error | OverflowError | ValueError):
                raise
            raise translate(error) from error

    def _roll_back(self) -> bool:
        """Undo what was begun: whether the connection was lost, or is dropped because that couldn't be done."""
        if self._pipeline is None or self._pipeline.closed:
            return self._pipeline is not None
        try:
            self._pipeline.roll_back()
        except psycopg.Error:
            self.close()
            return True
        return False

    def _did_commit(self) -> bool:
        """Whether the transaction whose commit was not heard of is in the database; if not, it never will be.

        Raises Unavailable where that can't be found out.
        """
        end = monotonic() + RESOLVE_TIMEOUT_S
        while True:
            try:
                return self._resolve(self._open())
            except Exception as error:
                # Whatever it is: what isn't known is not called undone.
                if monotonic() > end:
                    self._writer = None
                    raise Unavailable(f"whether this was written is not known: {_line(error)}") from error
                log.warning("commit not heard of", reason=_line(error))
                self.close()
                sleep(RESOLVE_PAUSE_S)

    def _resolve(self, pipeline: Pipeline) -> bool:
        # Waits for a transaction that is still at it. Where it comes to nothing its turn is taken here, and whatever
        # of it may still be on its way fails at its guard. A turn so taken is negative: this may be asked again, when
        # its own answer wasn't heard. Written it is in any case, so that this commit waits for a standby that the other
        # one may not have waited for.
        pipeline.send(BEGIN)
        pipeline.send(
            """
            UPDATE writers SET transactions = CASE transactions WHEN $2 THEN -transactions - 1 ELSE transactions END
            WHERE id = $1
            """,
            [self._writer, self._transactions],
        )
        found = pipeline.send("SELECT transactions FROM writers WHERE id = $1", [self._writer])
        pipeline.send(COMMIT)
        return list(found) == [(self._transactions + 1,)]


class _Lost(Conflict):
    """The connection was lost. Nothing is kept, unless that was during the commit."""


def _now() -> int:
    return to_micros(datetime.now(UTC))


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
