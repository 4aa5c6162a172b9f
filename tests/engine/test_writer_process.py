"""A writer process that dies: its unanswered commands fail, `on_events` is called, and it is replaced after a pause."""

from __future__ import annotations

import asyncio
import sys

import pytest

from jangteo.core.wallets import RegisterUser
from jangteo.engine.batch import Submission
from jangteo.engine.worker_pool import Overloaded, Stopped
from jangteo.engine.writer import client
from jangteo.engine.writer.process import WriterProcess
from jangteo.storage.errors import Unavailable

SUBMISSION = Submission(RegisterUser(None))


def writer(program: str, *, queue_max: int = 10) -> WriterProcess:
    return WriterProcess(
        lambda descriptor: (sys.executable, "-c", program, str(descriptor)),
        environment={},
        kept_files=tuple,
        queue_max=queue_max,
    )


def test_unanswered_commands_of_a_dead_writer_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "RESTART_PAUSE_S", 0.01)

    async def scenario() -> None:
        notified: list[bool] = []
        dying = writer("pass")
        await dying.start(lambda: notified.append(True))
        for number in range(1, 4):
            with pytest.raises(Unavailable, match="is not known"):
                await dying.submit(SUBMISSION)
            assert len(notified) >= number
        await dying.stop()
        with pytest.raises(Stopped):
            dying.submit(SUBMISSION)

    asyncio.run(scenario())


def test_a_writer_that_dies_at_once_is_replaced_only_after_a_pause() -> None:
    async def scenario() -> None:
        ended = 0

        def count() -> None:
            nonlocal ended
            ended += 1

        dying = writer("pass")
        await dying.start(count)
        with pytest.raises(Unavailable):
            await dying.submit(SUBMISSION)
        # A stop within the pause fails the command submitted in it, and no other process is started.
        waiting = dying.submit(SUBMISSION)
        await dying.stop()
        with pytest.raises(Unavailable):
            await waiting
        assert ended == 1

    asyncio.run(scenario())


def test_the_queue_of_a_silent_writer_is_bounded() -> None:
    async def scenario() -> None:
        silent = writer("import socket, sys; socket.socket(fileno=int(sys.argv[1])).recv(9)", queue_max=2)
        await silent.start(lambda: None)
        waiting = [silent.submit(SUBMISSION), silent.submit(SUBMISSION)]
        with pytest.raises(Overloaded):
            silent.submit(SUBMISSION)
        for each in waiting:
            with pytest.raises(Unavailable):
                await each
        await silent.stop()

    asyncio.run(scenario())
