"""The way of every command: queue, batch, one transaction, one flush, answers."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime

from jangteo.core.book import Command
from jangteo.engine.batch import Answer, Asked, Failed, commit
from jangteo.engine.lane import Lane
from jangteo.storage.errors import Unavailable
from jangteo.storage.port import Storage


class Committing:
    """Commands in, answers out, and nothing is answered before it is on disk."""

    def __init__(self, storage: Storage, clock: Callable[[], datetime], *, batch_max: int, queue_max: int) -> None:
        self._lane: Lane[Asked, Answer | Failed] = Lane(
            "commit",
            lambda: _Writer(storage, clock, self._tell),
            batch_max=batch_max,
            queue_max=queue_max,
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self.events_told = asyncio.Event()
        """Set whenever a batch with events has been committed; whoever waits for it clears it."""

    def start(self) -> None:
        """Open the way; called on the event loop that answers."""
        self._loop = asyncio.get_running_loop()
        self._lane.start()

    async def stop(self) -> None:
        """Commit and answer what has arrived, then close."""
        await self._lane.stop()

    async def submit(self, command: Command, key: str | None = None) -> Answer:
        """What the shop decided, once it is durable.

        Raises Overloaded where too much is waiting, Unavailable where the database didn't keep it: nothing changed.
        """
        answer = await self._lane.submit(Asked(command, key))
        if isinstance(answer, Failed):
            raise Unavailable(answer.reason)
        return answer

    def _tell(self) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self.events_told.set)


class _Writer:
    def __init__(self, storage: Storage, clock: Callable[[], datetime], tell: Callable[[], None]) -> None:
        self._connection = storage.connect()
        self._clock = clock
        self._tell = tell

    def work(self, jobs: Sequence[Asked], before_waiting: Callable[[], None]) -> Sequence[Answer | Failed]:
        done = commit(self._connection, jobs, self._clock, before_waiting)
        if done.told_events:
            self._tell()
        return done.answers

    def close(self) -> None:
        self._connection.close()
