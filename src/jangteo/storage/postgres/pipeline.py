"""How statements get to PostgreSQL and rows come back: prepared once, sent together, awaited together, in binary.

This is libpq's pipeline, used through the driver's own wrapper of it. The driver's cursors do the same for all kinds of
values and moments, and for a lone order took half a millisecond more of it (measured).
"""

from collections.abc import Iterator, Sequence
from itertools import count
from select import POLLIN, POLLOUT, poll
from time import monotonic
from typing import Final

import psycopg
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGresult

from jangteo.storage.port import Row
from jangteo.storage.postgres.encoding import Parameter, encode

_BINARY: Final = 1
PLAN_TTL_S: Final = 2.0
"""A plan is good for a table as large as it was. In a rush one grows from nothing to a hundred thousand rows before the
server notices; and each plan takes memory over there.
"""
_IN_FLIGHT_MAX: Final = 32
"""So many statements are sent before the first is awaited, at most: what isn't sent yet takes memory."""


class PendingRows:
    """What one statement finds; awaited, with all that was asked before and since, when it is first looked at."""

    def __init__(self, pipeline: "Pipeline") -> None:
        self._pipeline = pipeline
        self.rows: list[Row] | None = None

    def __iter__(self) -> Iterator[Row]:
        """The rows. Raises the driver's errors."""
        if self.rows is None:
            self._pipeline.sync()
        if self.rows is None:
            raise psycopg.InterfaceError("this was asked for together with something that failed")
        yield from self.rows


class Pipeline:
    """One connection, from now on used by nobody else."""

    def __init__(self, raw: psycopg.Connection[Row]) -> None:
        self._raw = raw
        self._libpq = raw.pgconn
        self._libpq.nonblocking = 1
        self._libpq.enter_pipeline_mode()
        self._poll = poll()
        self._poll.register(self._libpq.socket)
        self._reader = Transformer(raw)
        self._prepared: dict[tuple[str, tuple[int, ...]], bytes] = {}
        self._preparing: list[tuple[str, tuple[int, ...]]] = []
        self._in_flight: list[PendingRows | None] = []
        self._awaiting = False
        self._planning_since = monotonic()
        self._numbers = count()

    @property
    def closed(self) -> bool:
        """Whether the connection is lost."""
        return self._raw.closed

    def invalidate_plans(self) -> None:
        """Have what is asked from here on planned anew, if that is due; called where nothing is under way."""
        if monotonic() - self._planning_since > PLAN_TTL_S:
            self.send("DEALLOCATE ALL")
            self.sync()
            self._prepared.clear()
            self._planning_since = monotonic()

    def close(self) -> None:
        """End the connection."""
        self._raw.close()

    def send(self, sql: str, values: Sequence[Parameter] = ()) -> PendingRows:
        """Send one statement, with values for `$1`, `$2`, ….

        Raises OverflowError or ValueError for values that the server can't be sent, and the driver's errors for
        what was asked before.
        """
        pairs = [encode(value) for value in values]
        if len(self._in_flight) >= _IN_FLIGHT_MAX:
            self.sync()
        name = self._prepare(sql, tuple(kind for kind, _ in pairs))
        formats = [_BINARY] * len(pairs)
        self._libpq.send_query_prepared(name, [content for _, content in pairs], formats, result_format=_BINARY)
        found = PendingRows(self)
        self._in_flight.append(found)
        return found

    def sync(self) -> None:
        """Await all that was asked. Raises the driver's error for the first that failed; none after it is done."""
        # Set back only where the server has been listened to until its end: before that nothing is known for sure.
        self._awaiting = True
        in_flight, self._in_flight = self._in_flight, []
        preparing, self._preparing = self._preparing, []
        failed: psycopg.Error | None = None
        self._libpq.pipeline_sync()
        results = self._results()
        for found in in_flight:
            result = next(results, None)
            if result is None:
                raise psycopg.InterfaceError("the server has answered less than it was asked")
            if result.status in (ExecStatus.FATAL_ERROR, ExecStatus.PIPELINE_ABORTED):
                failed = failed or error_from_result(result)
            elif found is not None:
                found.rows = self._rows(result)
        for farewell in results:
            # A session that is ended while it commits says so behind the last answer, instead of being ready for more.
            raise error_from_result(farewell)
        self._awaiting = False
        if failed is not None:
            for statement in preparing:
                # It may have been left out; whether it has can't be told from here.
                del self._prepared[statement]
            raise failed

    def roll_back(self) -> None:
        """Undo what was begun, however far it has come. Raises the driver's errors where the connection is lost."""
        if self._awaiting:
            raise psycopg.InterfaceError("the server was not listened to until its end")
        try:
            self.sync()
        except psycopg.Error:
            # That is what is undone.
            if self.closed:
                raise
        self.send("ROLLBACK")
        self.sync()

    def _prepare(self, sql: str, kinds: tuple[int, ...]) -> bytes:
        name = self._prepared.get((sql, kinds))
        if name is None:
            name = b"jangteo_%d" % next(self._numbers)
            self._libpq.send_prepare(name, sql.encode(), kinds)
            self._in_flight.append(None)
            self._prepared[sql, kinds] = name
            self._preparing.append((sql, kinds))
        return name

    def _results(self) -> Iterator[PGresult]:
        while True:
            self._wait()
            result = self._libpq.get_result()
            if result is None:
                # The end of one statement; or of all, when the server has gone.
                if self.closed:
                    raise psycopg.OperationalError("the connection is closed")
                continue
            if result.status == ExecStatus.PIPELINE_SYNC:
                return
            yield result

    def _wait(self) -> None:
        """Until all is sent and the next result has come."""
        while (unsent := self._libpq.flush()) or self._libpq.is_busy():
            self._poll.modify(self._libpq.socket, POLLIN | POLLOUT if unsent else POLLIN)
            self._poll.poll()
            self._libpq.consume_input()

    def _rows(self, result: PGresult) -> list[Row]:
        self._reader.set_pgresult(result)
        return self._reader.load_rows(0, result.ntuples, tuple)
