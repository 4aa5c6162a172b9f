"""A turn is over when it could not be kept, whoever could not be asked; and nothing is sent without it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import Any

import msgspec
import pytest

from jangteo.core.book import Command
from jangteo.core.relay import LeaseOutcome, ReleaseLease
from jangteo.delivery import lease
from jangteo.delivery.lease import DatabaseLease, FileLease
from jangteo.delivery.sender import LeaseLost, Sender
from jangteo.engine.outcomes import SerializedOutcome
from jangteo.engine.worker_pool import Overloaded

Answer = Callable[[Command], Awaitable[SerializedOutcome]]


class Commands:
    """Answers who asks for the turn as a test wants it."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked: list[Command] = []

    def submit(self, command: Command) -> asyncio.Future[SerializedOutcome]:
        self.asked.append(command)
        return asyncio.ensure_future(self.answer(command))


def says(*, held: bool) -> Answer:
    async def answer(_: Command) -> SerializedOutcome:
        return SerializedOutcome("LeaseOutcome", msgspec.json.encode(LeaseOutcome(held=held)), replayed=False)

    return answer


async def hang(_: Command) -> SerializedOutcome:
    await asyncio.Event().wait()
    raise AssertionError


async def fail(_: Command) -> SerializedOutcome:
    raise Overloaded


@pytest.fixture(autouse=True)
def short_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "LEASE_TTL_S", 0.5)
    monkeypatch.setattr(lease, "RENEW_EVERY_S", 0.02)
    monkeypatch.setattr(lease, "_MARGIN_S", 0.1)


async def begun(commands: Commands) -> DatabaseLease:
    turn = DatabaseLease(commands)  # type: ignore[arg-type]  # all that it uses
    turn.start()
    await asyncio.wait_for(turn.wait(), 10)
    return turn


async def until_over(turn: DatabaseLease) -> None:
    async with asyncio.timeout(10):
        while turn.left_s:  # noqa: ASYNC110 - it ends by the clock: nobody says so
            await asyncio.sleep(min(turn.left_s, 0.02))


@pytest.mark.parametrize("later", [hang, fail, says(held=False)])
def test_a_turn_that_is_not_renewed_is_over(later: Answer) -> None:
    async def play() -> None:
        commands = Commands(says(held=True))
        turn = await begun(commands)
        commands.answer = later
        began = monotonic()
        await until_over(turn)
        assert monotonic() - began < 0.5
        commands.answer = says(held=True)
        await turn.release()
        assert isinstance(commands.asked[-1], ReleaseLease)

    asyncio.run(play())


def test_one_failed_renewal_ends_nothing() -> None:
    async def play() -> None:
        commands = Commands(says(held=True))
        turn = await begun(commands)
        commands.answer = fail
        asked = len(commands.asked)
        async with asyncio.timeout(10):
            while len(commands.asked) < asked + 3:  # noqa: ASYNC110 - what is asked is not an event
                await asyncio.sleep(0)
        assert turn.left_s
        await turn.release()

    asyncio.run(play())


def test_an_answer_that_comes_too_late_is_for_a_turn_that_is_over() -> None:
    async def late(command: Command) -> SerializedOutcome:
        await asyncio.sleep(0.45)
        return await says(held=True)(command)

    async def play() -> None:
        commands = Commands(late)
        turn = DatabaseLease(commands)  # type: ignore[arg-type]  # all that it uses
        turn.start()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(turn.wait(), 1)
        assert len(commands.asked) > 1
        commands.answer = says(held=True)
        await turn.release()

    asyncio.run(play())


class Stuck:
    """A platform that takes as long as it takes."""

    def __init__(self) -> None:
        self.was_cancelled = False

    async def send(self, _: Sequence[bytes]) -> Mapping[int, str]:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.was_cancelled = True
            raise
        return {}

    async def close(self) -> None:
        """Nothing is held."""


def test_what_is_being_sent_is_given_up_with_the_turn() -> None:
    async def play() -> None:
        commands, nobody = Commands(says(held=True)), object()
        platform = Stuck()
        turn = await begun(commands)
        sender = Sender(commands, nobody, platform, turn, "a platform")  # type: ignore[arg-type]  # not asked
        commands.answer = hang
        with pytest.raises(LeaseLost):
            await asyncio.wait_for(sender.send([b'{"subject":"1"}']), 10)
        assert platform.was_cancelled
        commands.answer = says(held=True)
        await turn.release()

    asyncio.run(play())


def test_a_file_is_locked_by_one_at_a_time(tmp_path: Path) -> None:
    async def play() -> None:
        first, second = (FileLease(tmp_path / "shop.db.relay.lock") for _ in range(2))
        first.start()
        await asyncio.wait_for(first.wait(), 10)
        second.start()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(second.wait(), 0.2)
        await first.release()
        await asyncio.wait_for(second.wait(), 10)
        assert not first.left_s
        await second.release()

    asyncio.run(play())


def test_a_lock_that_cannot_be_had_is_asked_for_again(tmp_path: Path) -> None:
    async def play() -> None:
        turn: Any = FileLease(tmp_path / "later" / "relay.lock")
        turn.start()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(turn.wait(), 0.1)
        (tmp_path / "later").mkdir()
        await asyncio.wait_for(turn.wait(), 10)
        await turn.release()

    asyncio.run(play())
