"""The way of every read: questions that arrive together are answered from one snapshot, equal ones once.

A snapshot is opened after its questions have arrived, so an answer is never older than its question.
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
    """Questions in, answers out; never in the way of a command, and a long one never in the way of a quick one."""

    def __init__(
        self,
        storage: Storage,
        clock: Callable[[], datetime],
        *,
        threads: int,
        batch_max: int,
        queue_max: int,
    ) -> None:
        """`threads` answer quick questions; one more answers those of each other lane."""

        def lane(name: str, threads: int) -> WorkerPool[Query[Any], Any]:
            return WorkerPool(
                name,
                lambda: _Reader(storage, clock),
                threads=threads,
                batch_max=batch_max,
                queue_max=queue_max,
            )

        self._lanes = {
            name: lane(f"read-{name}", threads if name == "quick" else 1) for name in get_args(port.WorkerPool)
        }
        self.windows_asked: set[int] = set()
        """The best sellers of so many days were asked for; whoever takes notice empties it."""

    def start(self) -> None:
        """Open the way; called on the event loop that answers."""
        for lane in self._lanes.values():
            lane.start()

    async def stop(self) -> None:
        """Answer what has been asked, then close."""
        for lane in self._lanes.values():
            await lane.stop()

    async def ask(self, question: Query[Answer]) -> Answer:
        """The answer as of now. Raises Overloaded, Unavailable where the database can't be read, or what the question
        raises: QueryRefused.
        """
        if question.window_days is not None:
            self.windows_asked.add(question.window_days)
        answer = cast("Answer", await self._lanes[question.lane].submit(question))
        if answer is None and question.fallback is not None:
            return await self.ask(question.fallback)
        return answer


class _Reader:
    def __init__(self, storage: Storage, clock: Callable[[], datetime]) -> None:
        self._connection = storage.connect()
        self._clock = clock

    def work(self, jobs: Sequence[Query[Any]]) -> Sequence[Any]:
        try:
            answers = self._answers(tuple(dict.fromkeys(jobs)))
        except Exception as error:
            log.warning("not read", questions=len(jobs), reason=repr(error))
            raise Unavailable(str(error)) from error
        return [answers[question] for question in jobs]

    def _answers(self, questions: Sequence[Query[Any]]) -> dict[Query[Any], Any]:
        try:
            return self._look(questions)
        except Conflict:
            # The connection was lost, perhaps long ago; asking again does no harm.
            return self._look(questions)

    def _look(self, questions: Sequence[Query[Any]]) -> dict[Query[Any], Any]:
        with self._connection.snapshot(self._clock()) as snapshot:
            return {question: _answer(question, snapshot) for question in questions}

    def close(self) -> None:
        self._connection.close()


def _answer(question: Query[Any], snapshot: Snapshot) -> Any:
    try:
        return question.answer(snapshot)
    except QueryRefused as reason:
        return reason
