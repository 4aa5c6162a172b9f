"""Commands and queries wait while no database can be reached, and are refused, not executed late, after the hold."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from threading import Event, Thread
from time import monotonic
from typing import Any

import pytest

from jangteo.app import system_clock
from jangteo.core.wallets import RegisterUser
from jangteo.engine.batch import Submission
from jangteo.engine.deadlines import Timeouts
from jangteo.engine.worker_pool import WorkerPool
from jangteo.engine.writer.channels import Channels
from jangteo.engine.writer.loop import commit_until_closed
from jangteo.engine.writer.protocol import Frames, commands_frame, pack, read_outcomes
from jangteo.storage.errors import Unreachable
from jangteo.storage.port import Connection
from jangteo.storage.urls import open_storage

LONG_AGO_S = 60.0


class Interrupted:
    """A connection whose database can't be reached until it is allowed."""

    def __init__(self, opened: Connection) -> None:
        self._opened = opened
        self.reachable = Event()
        self.attempts = 0
        self.attempted = Event()

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        self.attempts += 1
        self.attempted.set()
        if not self.reachable.is_set():
            raise Unreachable("no server")
        with self._opened.transaction() as session:
            yield session

    def snapshot(self, now: Any) -> Any:
        raise NotImplementedError

    def close(self) -> None:
        self._opened.close()


class Writer:
    """A writer's loop in a thread, and the other end of its channel."""

    def __init__(self, database: str, timeouts: Timeouts) -> None:
        self._storage = open_storage(database)
        self._timeouts = timeouts
        self.channel, self._other = socket.socketpair()
        self.channel.settimeout(30)
        self.opened = Event()
        self.connection: Interrupted
        self._frames = Frames()
        self._thread = Thread(target=self._run)
        self._thread.start()
        assert self.opened.wait(30)

    def _run(self) -> None:
        self.connection = Interrupted(self._storage.connect())
        self.opened.set()
        with self._other:
            commit_until_closed(Channels([self._other]), self.connection, system_clock, 256, self._timeouts)

    def submit(self, count: int, age_s: float = 0.0) -> None:
        commands = [pack(Submission(RegisterUser(None))) for _ in range(count)]
        self.channel.sendall(commands_frame(monotonic() - age_s, commands))

    def outcomes(self, count: int) -> list[Any]:
        """The next outcomes, at least so many; None for a command that failed."""
        received: list[Any] = []
        while len(received) < count:
            for frame in self._frames.receive(self.channel.recv(65_536)):
                received += read_outcomes(frame).outcomes
        return received

    def close(self) -> None:
        self.channel.close()
        self._thread.join(30)


@pytest.fixture
def database(sqlite_database: str) -> str:
    return sqlite_database


def test_commands_are_held_until_the_database_is_reached(database: str) -> None:
    with closing(Writer(database, Timeouts(10, 10))) as writer:
        writer.submit(2)
        assert writer.connection.attempted.wait(30)
        writer.submit(1)
        writer.connection.reachable.set()
        assert [each.body for each in writer.outcomes(3)] == [
            b'{"userId":1,"balance":0}',
            b'{"userId":2,"balance":0}',
            b'{"userId":3,"balance":0}',
        ]


def test_held_commands_are_refused_in_order_when_their_hold_ends(database: str) -> None:
    with closing(Writer(database, Timeouts(1_000, 20))) as writer:
        writer.submit(2, age_s=LONG_AGO_S)
        writer.submit(1)
        assert writer.outcomes(2) == [None, None]
        writer.connection.reachable.set()
        assert [each.body for each in writer.outcomes(1)] == [b'{"userId":1,"balance":0}']


def test_without_a_hold_every_command_is_tried_once(database: str) -> None:
    with closing(Writer(database, Timeouts(10, 0))) as writer:
        for attempts in (1, 2, 3):
            writer.submit(1)
            assert writer.outcomes(1) == [None]
            assert writer.connection.attempts == attempts
        writer.connection.reachable.set()
        writer.submit(1)
        assert writer.outcomes(1) != [None]


def test_a_command_that_waited_longer_than_the_deadline_is_not_executed(database: str) -> None:
    with closing(Writer(database, Timeouts(20, 20))) as writer:
        writer.connection.reachable.set()
        writer.submit(1, age_s=LONG_AGO_S)
        writer.submit(1)
        assert [each and each.body for each in writer.outcomes(2)] == [None, b'{"userId":1,"balance":0}']


class Reader:
    """A worker that finds no database until it is allowed."""

    def __init__(self) -> None:
        self.reachable = Event()
        self.attempted = Event()
        self.batches: list[list[int]] = []

    def work(self, jobs: Sequence[int]) -> Sequence[int]:
        self.batches.append(list(jobs))
        self.attempted.set()
        if not self.reachable.is_set():
            raise Unreachable("no server")
        return jobs

    def close(self) -> None:
        pass


def test_queries_are_held_together_with_those_that_arrive_later() -> None:
    async def scenario() -> None:
        reader = Reader()
        pool: WorkerPool[int, int] = WorkerPool("test", lambda: reader, batch_max=9, queue_max=9)
        pool.start()
        first = pool.submit(1)
        assert await asyncio.to_thread(reader.attempted.wait, 30)
        second = pool.submit(2)
        reader.reachable.set()
        assert [await first, await second] == [1, 2]
        await pool.stop()

    asyncio.run(scenario())


def test_held_queries_get_the_reason_when_their_hold_ends() -> None:
    async def scenario() -> None:
        reader = Reader()
        pool: WorkerPool[int, int] = WorkerPool(
            "test", lambda: reader, batch_max=9, queue_max=9, timeouts=Timeouts(10, 0)
        )
        pool.start()
        with pytest.raises(Unreachable, match="no server"):
            await pool.submit(1)
        assert reader.batches == [[1]]
        reader.reachable.set()
        assert await pool.submit(2) == 2
        await pool.stop()

    asyncio.run(scenario())
