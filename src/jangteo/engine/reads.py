"""The way of every read: queries that arrive together are answered from one snapshot, equal ones once.

A snapshot is opened after its queries have arrived, so an answer is never older than its query.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar, cast, get_args

import structlog

from jangteo.engine.worker_pool import WorkerPool
from jangteo.storage import port
from jangteo.storage.errors import Conflict, Unavailable
from jangteo.storage.port import Query, QueryRefused, Snapshot, Storage

log = structlog.get_logger()
Answer = TypeVar("Answer")


class Reads:
    """Queries in, answers out; never in the way of a command, and a long one never in the way of a quick one."""

    def __init__(
        self,
        storage: Storage,
        clock: Callable[[], datetime],
        *,
        threads: int,
        batch_max: int,
        queue_max: int,
    ) -> None:
        """`threads` answer quick queries; one more answers those of each other pool."""

        def pool(name: str, threads: int) -> WorkerPool[Query[Any], Any]:
            return WorkerPool(
                name,
                lambda: _Reader(storage, clock),
                threads=threads,
                batch_max=batch_max,
                queue_max=queue_max,
            )

        self._pools = {name: pool(f"read-{name}", threads if name == "point" else 1) for name in get_args(port.Cost)}

    def start(self) -> None:
        """Open the way; called on the event loop that answers."""
        for pool in self._pools.values():
            pool.start()

    async def stop(self) -> None:
        """Answer what has been asked, then close."""
        for pool in self._pools.values():
            await pool.stop()

    async def run(self, query: Query[Answer]) -> Answer:
        """The answer as of now. Raises Overloaded, Unavailable where the database can't be read, or what the query
        raises: QueryRefused.
        """
        return cast("Answer", await self._pools[query.cost].submit(query))


class _Reader:
    def __init__(self, storage: Storage, clock: Callable[[], datetime]) -> None:
        self._connection = storage.connect()
        self._clock = clock

    def work(self, jobs: Sequence[Query[Any]]) -> Sequence[Any]:
        try:
            answers = self._answers(tuple(dict.fromkeys(jobs)))
        except Exception as error:
            log.warning("not read", queries=len(jobs), reason=repr(error))
            raise Unavailable(str(error)) from error
        return [answers[query] for query in jobs]

    def _answers(self, queries: Sequence[Query[Any]]) -> dict[Query[Any], Any]:
        try:
            return self._look(queries)
        except Conflict:
            # The connection was lost, perhaps long ago; asking again does no harm.
            return self._look(queries)

    def _look(self, queries: Sequence[Query[Any]]) -> dict[Query[Any], Any]:
        with self._connection.snapshot(self._clock()) as snapshot:
            return {query: _answer(query, snapshot) for query in queries}

    def close(self) -> None:
        self._connection.close()


def _answer(query: Query[Any], snapshot: Snapshot) -> Any:
    try:
        return query.answer(snapshot)
    except QueryRefused as reason:
        return reason
