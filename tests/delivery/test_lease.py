"""A lease that isn't renewed expires, and nothing is sent without it."""

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
    """Answers lease commands as the test outcome."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.submitted: list[Command] = []

    def submit(self, command: Command) -> asyncio.Future[SerializedOutcome]:
        self.submitted.append(command)
        return asyncio.ensure_future(self.answer(command))


def outcome(*, held: bool) -> Answer:
    async def answer(_: Command) -> SerializedOutcome:
        return SerializedOutcome("LeaseOutcome", msgspec.json.encode(LeaseOutcome(held=held)), replayed=False)

    return answer


async def hang(_: Command) -> SerializedOutcome:
    await asyncio.Event().wait()
    raise AssertionError


async def fail(_: Command) -> SerializedOutcome:
    raise Overloaded


@pytest.fixture(autouse=True)
def short_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "LEASE_TTL_S", 0.5)
    monkeypatch.setattr(lease, "RENEW_INTERVAL_S", 0.02)
    monkeypatch.setattr(lease, "_SAFETY_MARGIN_S", 0.1)


async def acquired(commands: Commands) -> DatabaseLease:
    held_lease = DatabaseLease(commands)  # type: ignore[arg-type]  # a fake with all that it uses
    held_lease.start()
    await asyncio.wait_for(held_lease.wait_until_held(), 10)
    return held_lease


async def until_expired(held_lease: DatabaseLease) -> None:
    async with asyncio.timeout(10):
        while held_lease.remaining_s:  # noqa: ASYNC110 - it expires by the clock, without an event
            await asyncio.sleep(min(held_lease.remaining_s, 0.02))


@pytest.mark.parametrize("answer", [hang, fail, outcome(held=False)])
def test_a_lease_that_is_not_renewed_expires(answer: Answer) -> None:
    async def scenario() -> None:
        commands = Commands(outcome(held=True))
        held_lease = await acquired(commands)
        commands.answer = answer
        started_at = monotonic()
        await until_expired(held_lease)
        assert monotonic() - started_at < 0.5
        commands.answer = outcome(held=True)
        await held_lease.release()
        assert isinstance(commands.submitted[-1], ReleaseLease)

    asyncio.run(scenario())


def test_a_failed_renewal_keeps_the_lease_until_it_expires() -> None:
    async def scenario() -> None:
        commands = Commands(outcome(held=True))
        held_lease = await acquired(commands)
        commands.answer = fail
        submitted = len(commands.submitted)
        async with asyncio.timeout(10):
            while len(commands.submitted) < submitted + 3:  # noqa: ASYNC110 - submitting sets no event
                await asyncio.sleep(0)
        assert held_lease.remaining_s
        await held_lease.release()

    asyncio.run(scenario())


def test_an_answer_after_the_ttl_acquires_nothing() -> None:
    async def late(command: Command) -> SerializedOutcome:
        await asyncio.sleep(0.45)
        return await outcome(held=True)(command)

    async def scenario() -> None:
        commands = Commands(late)
        held_lease = DatabaseLease(commands)  # type: ignore[arg-type]  # a fake with all that it uses
        held_lease.start()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(held_lease.wait_until_held(), 1)
        assert len(commands.submitted) > 1
        commands.answer = outcome(held=True)
        await held_lease.release()

    asyncio.run(scenario())


class Stuck:
    """A platform that never answers."""

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
        """Do nothing."""


def test_sending_is_cancelled_when_the_lease_expires() -> None:
    async def scenario() -> None:
        commands, no_reads = Commands(outcome(held=True)), object()
        platform = Stuck()
        held_lease = await acquired(commands)
        sender = Sender(commands, no_reads, platform, held_lease, "a platform")  # type: ignore[arg-type]  # not used
        commands.answer = hang
        with pytest.raises(LeaseLost):
            await asyncio.wait_for(sender.send([b'{"subject":"1"}']), 10)
        assert platform.was_cancelled
        commands.answer = outcome(held=True)
        await held_lease.release()

    asyncio.run(scenario())


def test_a_file_lease_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    async def scenario() -> None:
        first, second = (FileLease(tmp_path / "shop.db.relay.lock") for _ in range(2))
        first.start()
        await asyncio.wait_for(first.wait_until_held(), 10)
        second.start()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(second.wait_until_held(), 0.2)
        await first.release()
        await asyncio.wait_for(second.wait_until_held(), 10)
        assert not first.remaining_s
        await second.release()

    asyncio.run(scenario())


@pytest.mark.parametrize("turns", range(5))
def test_a_lease_is_released_also_when_a_request_is_answered_at_the_same_moment(turns: int) -> None:
    async def scenario() -> None:
        commands = Commands(outcome(held=True))
        held_lease = await acquired(commands)
        answered = asyncio.get_running_loop().create_future()
        requested = asyncio.Event()

        async def answer(command: Command) -> SerializedOutcome:
            requested.set()
            await answered
            return await outcome(held=True)(command)

        commands.answer = answer
        await asyncio.wait_for(requested.wait(), 10)
        answered.set_result(None)
        for _ in range(turns):
            await asyncio.sleep(0)
        commands.answer = outcome(held=True)
        releasing = asyncio.create_task(held_lease.release())
        ended, _ = await asyncio.wait([releasing], timeout=5)
        assert ended, "the cancellation was swallowed: the relay renews for ever"

    asyncio.run(scenario())


def test_a_file_lease_is_requested_again_after_an_error(tmp_path: Path) -> None:
    async def scenario() -> None:
        held_lease: Any = FileLease(tmp_path / "later" / "relay.lock")
        held_lease.start()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(held_lease.wait_until_held(), 0.1)
        (tmp_path / "later").mkdir()
        await asyncio.wait_for(held_lease.wait_until_held(), 10)
        await held_lease.release()

    asyncio.run(scenario())
