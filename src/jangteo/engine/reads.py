"""Running queries: those that wait together are answered from one snapshot, equal ones once.

A snapshot is opened after its queries have arrived, so an answer is never older than its query.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final, TypeVar, cast, get_args

import structlog

from jangteo.engine.deadlines import DEFAULT_TIMEOUTS, SHUTDOWN_TIMEOUT_S, Timeouts
from jangteo.engine.worker_pool import WorkerPool
from jangteo.storage import port
from jangteo.storage.errors import Conflict, Unavailable, Unreachable, Unusable
from jangteo.storage.port import Cost, Query, QueryRefused, Snapshot, Storage
from jangteo.storage.shared_reads import SharedRead

log = structlog.get_logger()
Answer = TypeVar("Answer")

_LONG_TIMEOUTS_S: Final[Mapping[Cost, float]] = {"aggregate": 30.0, "scan": 60.0, "sweep": port.LONG_TIMEOUT_S}
"""How long one answer of the database is waited for, by what a query costs, where it isn't the server's timeout."""


class Reads:
    """Runs queries in worker pools, one pool for each cost: long queries don't delay short ones, nor any command."""

    def __init__(
        self,
        storage: Storage,
        clock: Callable[[], datetime],
        *,
        threads: int,
        batch_max: int,
        queue_max: int,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
    ) -> None:
        """The pool of point queries has `threads` threads, every other pool has one; each has its own connection.

        Queries that take long by their nature have timeouts of their own.
        """

        def pool(cost: Cost) -> WorkerPool[Query[Any], Any]:
            timeout_s = _LONG_TIMEOUTS_S.get(cost, timeouts.database_s)
            return WorkerPool(
                f"read-{cost}",
                lambda: _Reader(storage, clock, timeout_s),
                threads=threads if cost == "point" else 1,
                batch_max=batch_max,
                queue_max=queue_max,
                timeouts=Timeouts(timeout_s, timeouts.hold_s),
            )

        self._pools = {cost: pool(cost) for cost in get_args(port.Cost)}

    def start(self) -> None:
        """Start the pools; call it on the event loop that receives the answers."""
        for pool in self._pools.values():
            pool.start()

    async def stop(self, timeout_s: float = SHUTDOWN_TIMEOUT_S) -> None:
        """Answer the accepted queries and stop the pools; what isn't answered within the timeout is given up."""
        await asyncio.gather(*(pool.stop(timeout_s) for pool in self._pools.values()))

    async def run(self, query: Query[Answer]) -> Answer:
        """Return the query's answer as of now.

        Raises Overloaded if the queue is full, Unavailable if the database can't be read, and the query's QueryRefused.
        """
        return cast("Answer", await self._pools[query.cost].submit(query))


class _Reader:
    def __init__(self, storage: Storage, clock: Callable[[], datetime], timeout_s: float) -> None:
        self._connection = storage.connect(timeout_s)
        self._clock = clock

    def work(self, jobs: Sequence[Query[Any]]) -> Sequence[Any]:
        try:
            answers = self._answers(tuple(dict.fromkeys(jobs)))
        except Unusable:
            # It has been logged once.
            raise
        except Unreachable:
            # The pool tries again, for as long as queries are held.
            raise
        except Exception as error:
            if len(jobs) > 1 and not isinstance(error, Unavailable | Conflict):
                # One of them has a defect: halves until it is alone.
                middle = len(jobs) // 2
                return [*self._answered(jobs[:middle]), *self._answered(jobs[middle:])]
            log.warning("queries failed", queries=len(jobs), reason=repr(error))
            raise Unavailable(str(error)) from error
        return [answers[query] for query in jobs]

    def _answered(self, jobs: Sequence[Query[Any]]) -> Sequence[Any]:
        try:
            return self.work(jobs)
        except Unreachable:
            raise
        except Unavailable as error:
            return [error] * len(jobs)

    def _answers(self, queries: Sequence[Query[Any]]) -> dict[Query[Any], Any]:
        try:
            return self._read(queries)
        except Conflict:
            # The connection was lost, perhaps while it was idle; a read can be repeated.
            return self._read(queries)

    def _read(self, queries: Sequence[Query[Any]]) -> dict[Query[Any], Any]:
        with self._connection.snapshot(self._clock()) as snapshot:
            sent = {query: _send(query, snapshot) for query in queries}
            if all(isinstance(query.read, SharedRead) for query in queries):
                snapshot.finish()
            return {query: _answer(await_answer) for query, await_answer in sent.items()}

    def close(self) -> None:
        self._connection.close()


def _send(query: Query[Any], snapshot: Snapshot) -> Callable[[], Any]:
    """Send what the query's answer needs, if it is a shared read; any other one begins when its answer is awaited."""
    if isinstance(query.read, SharedRead):
        return query.read.send(snapshot, *query.arguments)
    return partial(query.read, snapshot, *query.arguments)


def _answer(await_answer: Callable[[], Any]) -> Any:
    try:
        return await_answer()
    except QueryRefused as refused:
        return refused
