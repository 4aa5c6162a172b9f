"""A writer that dies: those who wait are told, the relay has a look, and others are started, with a pause."""

from __future__ import annotations

import asyncio
import sys

import pytest

from jangteo.core.wallets import RegisterUser
from jangteo.engine.batch import Submission
from jangteo.engine.worker_pool import Overloaded, Stopped
from jangteo.engine.writer import client
from jangteo.engine.writer.client import WriterProcess
from jangteo.storage.errors import Unavailable

ASKED = Submission(RegisterUser(None))


def writer(program: str, *, queue_max: int = 10) -> WriterProcess:
    return WriterProcess(
        lambda descriptor: (sys.executable, "-c", program, str(descriptor)),
        environment={},
        kept_files=tuple,
        queue_max=queue_max,
    )


def test_those_who_wait_for_a_writer_that_dies_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "REPLACED_AFTER_S", 0.01)

    async def play() -> None:
        has_events: list[bool] = []
        dying = writer("pass")
        await dying.start(lambda: has_events.append(True))
        for number in range(1, 4):
            with pytest.raises(Unavailable, match="is not known"):
                await dying.submit(ASKED)
            assert len(has_events) >= number
        await dying.stop()
        with pytest.raises(Stopped):
            dying.submit(ASKED)

    asyncio.run(play())


def test_a_writer_that_dies_at_once_is_not_replaced_without_a_pause() -> None:
    async def play() -> None:
        started = 0

        def count() -> None:
            nonlocal started
            started += 1

        dying = writer("pass")
        await dying.start(count)
        with pytest.raises(Unavailable):
            await dying.submit(ASKED)
        # In the pause a stop ends it all: what was asked meanwhile is told, and no other writer is started.
        waiting = dying.submit(ASKED)
        await dying.stop()
        with pytest.raises(Unavailable):
            await waiting
        assert started == 1

    asyncio.run(play())


def test_the_queue_before_a_silent_writer_is_bounded() -> None:
    async def play() -> None:
        silent = writer("import socket, sys; socket.socket(fileno=int(sys.argv[1])).recv(9)", queue_max=2)
        await silent.start(lambda: None)
        waiting = [silent.submit(ASKED), silent.submit(ASKED)]
        with pytest.raises(Overloaded):
            silent.submit(ASKED)
        for each in waiting:
            with pytest.raises(Unavailable):
                await each
        await silent.stop()

    asyncio.run(play())
