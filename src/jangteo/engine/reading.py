"""The way of every read: questions that arrive together are answered from one snapshot, equal ones once.

A snapshot is opened after its questions have arrived, so an answer is never older than its question.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar, cast

import structlog

from jangteo.engine.lane import Lane
from jangteo.storage.errors import Conflict, Unavailable
from jangteo.storage.port import Question, Storage

log = structlog.get_logger()
Answer = TypeVar("Answer")


class Reading:
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
        """`threads` answer quick questions; one more answers those that take long, and one the relay's."""

        def lane(name: str, threads: int) -> Lane[Question[Any], Any]:
            return Lane(
                name,
                lambda: _Reader(storage, clock),
                threads=threads,
                batch_max=batch_max,
                queue_max=queue_max,
            )

        self._quick = lane("read", threads)
        self._long = lane("read-long", 1)
        self._relays = lane("read-relay", 1)

    def start(self) -> None:
        """Open the way; called on the event loop that answers."""
        self._quick.start()
        self._long.start()
        self._relays.start()

    async def stop(self) -> None:
        """Answer what has been asked, then close."""
        await self._quick.stop()
        await self._long.stop()
        await self._relays.stop()

    async def ask(self, question: Question[Answer]) -> Answer:
        """The answer as of now. Raises Overloaded, or Unavailable where the database can't be read."""
        lane = self._long if question.takes_long else self._relays if question.is_relays else self._quick
        return cast("Answer", await lane.submit(question))


class _Reader:
    def __init__(self, storage: Storage, clock: Callable[[], datetime]) -> None:
        self._connection = storage.connect()
        self._clock = clock

    def work(self, jobs: Sequence[Question[Any]]) -> Sequence[Any]:
        try:
            answers = self._answers(tuple(dict.fromkeys(jobs)))
        except Exception as error:
            log.warning("not read", questions=len(jobs), reason=repr(error))
            raise Unavailable(str(error)) from error
        return [answers[question] for question in jobs]

    def _answers(self, questions: Sequence[Question[Any]]) -> dict[Question[Any], Any]:
        try:
            return self._look(questions)
        except Conflict:
            # The connection was lost, perhaps long ago; asking again does no harm.
            return self._look(questions)

    def _look(self, questions: Sequence[Question[Any]]) -> dict[Question[Any], Any]:
        with self._connection.snapshot(self._clock()) as snapshot:
            return {question: question.answer(snapshot) for question in questions}

    def close(self) -> None:
        self._connection.close()
