"""A pipelined connection to PostgreSQL: statements are prepared once, sent together, awaited together, all in binary.

This is libpq's pipeline mode. The driver's cursors support all types and for a lone order took half a millisecond more
(measured). No other module uses parts of psycopg beyond its documented connections and errors: `psycopg.pq`, `pgconn`,
`Transformer` and `error_from_result` may change in any release. Tested with psycopg 3.3.9 and libpq 18.
"""

from collections.abc import Iterator, Sequence
from itertools import count
from secrets import token_hex
from select import POLLIN, POLLOUT, poll
from time import monotonic
from typing import Final

import psycopg
from psycopg.adapt import Transformer
from psycopg.errors import Diagnostic, error_from_result
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGresult

from jangteo.storage.port import Row
from jangteo.storage.postgres.encoding import Parameter, encode

_BINARY: Final = 1
PLAN_TTL_S: Final = 2.0
"""How long prepared statements are used. They are planned for the size that a table has then, and in a rush one grows
from nothing to a hundred thousand rows before the server notices. Each also takes memory of the server.
"""
_IN_FLIGHT_MAX: Final = 32
"""How many statements are sent before their results are awaited: unread results take memory."""


class PendingRows:
    """The rows of a statement. The first iteration awaits them, together with everything else that was sent."""

    def __init__(self, pipeline: "Pipeline") -> None:
        self._pipeline = pipeline
        self.rows: list[Row] | None = None

    def __iter__(self) -> Iterator[Row]:
        """Iterate over the rows. Raises the driver's errors."""
        if self.rows is None:
            self._pipeline.sync()
        if self.rows is None:
            raise psycopg.InterfaceError("an earlier statement of the same pipeline failed")
        yield from self.rows


class Pipeline:
    """A connection in pipeline mode. Nothing else may use the connection any more."""

    def __init__(self, raw: psycopg.Connection[Row], timeout_s: float) -> None:
        """Results are waited for up to `timeout_s`; then the connection is closed, and OperationalError is raised."""
        self._raw = raw
        self.timeout_s = timeout_s
        self.backend_id = 0
        """The id of the server process, once the session's settings are stated; a pooler may change it."""
        self.has_standbys = False
        """Whether the server named synchronous standbys when the session was last checked (PLAN_TTL_S ago at most)."""
        self._give_up_at = 0.0
        self._warnings: list[str] = []
        self.rows_read = 0
        """How many rows have been received."""
        raw.add_notice_handler(self._note)
        self._libpq = raw.pgconn
        self._libpq.nonblocking = 1
        self._libpq.enter_pipeline_mode()
        self._poll = poll()
        self._poll.register(self._libpq.socket)
        self._transformer = Transformer(raw)
        self._prepared: dict[tuple[str, tuple[int, ...]], bytes] = {}
        self._preparing: list[tuple[str, tuple[int, ...]]] = []
        self._in_flight: list[PendingRows | None] = []
        self._has_unread_results = False
        self._plans_since = monotonic()
        # No other connection's statements have these names: where a pooler passes statements on to another server
        # process, none of them can be bound there.
        self._names = (b"jangteo_%s_%d" % (token_hex(4).encode(), number) for number in count())

    @property
    def closed(self) -> bool:
        """Whether the connection is closed or lost."""
        return self._raw.closed

    def invalidate_plans(self) -> bool:
        """Drop prepared statements after PLAN_TTL_S, so that they are planned anew; return whether it was time for it.

        Call it between transactions.
        """
        if monotonic() - self._plans_since <= PLAN_TTL_S:
            return False
        self.send("DEALLOCATE ALL")
        self.sync()
        self._prepared.clear()
        self._plans_since = monotonic()
        return True

    def close(self) -> None:
        """Close the connection."""
        self._raw.close()

    def leave(self) -> psycopg.Connection[Row]:
        """Leave pipeline mode and return the library's own connection, for work that needs it."""
        self._libpq.exit_pipeline_mode()
        self._libpq.nonblocking = 0
        return self._raw

    def send(self, sql: str, values: Sequence[Parameter] = ()) -> PendingRows:
        """Send one statement, with the values of `$1`, `$2`, ….

        Raises OverflowError or ValueError for values that can't be encoded, and the driver's errors of statements sent
        before.
        """
        parameters = [encode(value) for value in values]
        if len(self._in_flight) >= _IN_FLIGHT_MAX:
            self.sync()
        name = self._prepare(sql, tuple(oid for oid, _ in parameters))
        formats = [_BINARY] * len(parameters)
        self._libpq.send_query_prepared(name, [content for _, content in parameters], formats, result_format=_BINARY)
        pending = PendingRows(self)
        self._in_flight.append(pending)
        return pending

    def sync(self) -> None:
        """Await the results of everything sent. Raises the error of the first statement that failed; the server skips
        those after it.
        """
        # Cleared only when all results have been read: before that, nobody knows what the server has done.
        self._has_unread_results = True
        in_flight, self._in_flight = self._in_flight, []
        preparing, self._preparing = self._preparing, []
        failed: psycopg.Error | None = None
        self._warnings.clear()
        self._give_up_at = monotonic() + self.timeout_s
        self._libpq.pipeline_sync()
        results = self._results()
        for pending in in_flight:
            result = next(results, None)
            if result is None:
                raise psycopg.InterfaceError("the server sent fewer results than statements were sent")
            if result.status in (ExecStatus.FATAL_ERROR, ExecStatus.PIPELINE_ABORTED):
                failed = failed or error_from_result(result)
            elif pending is not None:
                pending.rows = self._rows(result)
        for unexpected in results:
            # A session that is terminated while it commits sends this error after the last result.
            raise error_from_result(unexpected)
        self._has_unread_results = False
        if failed is not None:
            for statement in preparing:
                # The server may have skipped it, which can't be seen here.
                del self._prepared[statement]
            raise failed

    def sync_commit(self) -> None:
        """Await the results of a commit. Raises what `sync` raises, and OperationalError where it was not confirmed.

        An operator who cancels the wait for synchronous standbys makes the server report success, with a warning.
        """
        self.sync()
        if self._warnings:
            self.close()
            raise psycopg.OperationalError(f"the commit was not confirmed: {self._warnings[0]}")

    def roll_back(self) -> None:
        """Roll back the transaction, whatever was sent of it. Raises the driver's errors if the connection is lost."""
        if self._has_unread_results:
            raise psycopg.InterfaceError("the server's results were not read to their end")
        try:
            self.sync()
        except psycopg.Error:
            # A failed statement is part of what is rolled back.
            if self.closed:
                raise
        self.send("ROLLBACK")
        self.sync()

    def _prepare(self, sql: str, oids: tuple[int, ...]) -> bytes:
        name = self._prepared.get((sql, oids))
        if name is None:
            name = next(self._names)
            self._libpq.send_prepare(name, sql.encode(), oids)
            self._in_flight.append(None)
            self._prepared[sql, oids] = name
            self._preparing.append((sql, oids))
        return name

    def _results(self) -> Iterator[PGresult]:
        while True:
            self._wait()
            result = self._libpq.get_result()
            if result is None:
                # The end of one statement's results; or of all results, if the server has gone.
                if self.closed:
                    raise psycopg.OperationalError("the connection is closed")
                continue
            if result.status == ExecStatus.PIPELINE_SYNC:
                return
            yield result

    def _wait(self) -> None:
        """Wait until everything is sent and the next result has arrived."""
        while (unsent := self._libpq.flush()) or self._libpq.is_busy():
            self._poll.modify(self._libpq.socket, POLLIN | POLLOUT if unsent else POLLIN)
            if not self._poll.poll(max(self._give_up_at - monotonic(), 0) * 1000):
                # The connection is of no use any more: its results would be taken for those of later statements.
                self.close()
                raise psycopg.OperationalError(f"no answer within {self.timeout_s:g} s")
            self._libpq.consume_input()

    def _note(self, diagnostic: Diagnostic) -> None:
        if diagnostic.severity_nonlocalized == "WARNING":
            self._warnings.append(diagnostic.message_primary or "a warning")

    def _rows(self, result: PGresult) -> list[Row]:
        self.rows_read += result.ntuples
        self._transformer.set_pgresult(result)
        return self._transformer.load_rows(0, result.ntuples, tuple)
