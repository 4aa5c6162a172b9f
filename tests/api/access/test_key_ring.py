"""The key ring: what it knows is never older than a second, whatever stands still."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jangteo.api.access import key_ring
from jangteo.api.access.key_ring import KeyRing
from jangteo.api.requests import Rejected
from jangteo.core.entities import ApiKey
from jangteo.engine.key_secrets import digest_of, key_of, new_secret
from jangteo.storage.errors import Unavailable
from jangteo.storage.keys import KeysVersion, read_keys_version

NOW = datetime(2026, 11, 23, 9, 0, 30, tzinfo=UTC)
SECRET = new_secret()


class Database:
    """What reads and commands of a shop would do, in memory."""

    def __init__(self) -> None:
        self.keys: dict[int, ApiKey] = {}
        self.reads: list[str] = []
        self.is_down = False
        self.recorded: list[Any] = []
        self.answers = asyncio.Event()
        self.answers.set()
        self.waiting = asyncio.Event()

    def add(self, key_id: int, **changes: Any) -> bytes:
        values: dict[str, Any] = {"digest": digest_of(SECRET), "ends_at": None, **changes}
        self.keys[key_id] = ApiKey(key_id, "a", ("read",), created_at=NOW, created_by="cli", **values)
        return key_of(key_id, SECRET).encode()

    async def run(self, query: Any) -> Any:
        await asyncio.sleep(0)
        if self.is_down:
            raise Unavailable("the database is down")
        version = KeysVersion(len(self.keys), sum(each.revoked_at is not None for each in self.keys.values()))
        keys = dict(self.keys)
        if not self.answers.is_set():
            self.waiting.set()
            await self.answers.wait()
        if query.read is read_keys_version:
            self.reads.append("version")
            return version
        self.reads.append("keys")
        return version, keys

    def submit(self, command: Any) -> Any:
        async def outcome() -> None:
            if self.is_down:
                raise Unavailable("the database is down")
            self.recorded.append(command.key_ids)

        return outcome()


Time = Callable[[float], None]


@pytest.fixture
def database() -> Database:
    return Database()


@pytest.fixture
def ring(database: Database) -> KeyRing:
    return KeyRing(database, database, lambda: NOW)  # type: ignore[arg-type]  # stands for both


@pytest.fixture
def move(monkeypatch: pytest.MonkeyPatch) -> Time:
    """Moves the ring's monotonic clock."""
    now = 1_000.0

    def move_on(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr(key_ring, "monotonic", lambda: now)
    return move_on


async def refused(ring: KeyRing, credential: bytes) -> str:
    with pytest.raises(Rejected) as error:
        await ring.identify(credential)
    return str(error.value)


def test_keys_are_read_again_only_after_one_was_made_or_revoked(ring: KeyRing, database: Database, move: Time) -> None:
    async def run() -> None:
        credential = database.add(1)
        await ring.refresh()
        move(0.3)
        await ring.refresh()
        assert database.reads == ["version", "keys", "version"]
        assert ring.find(credential) is None, "it is verified first"
        await ring.identify(credential)
        found = ring.find(credential)
        assert found is not None
        assert (found.actor, found.scopes) == ("key:1", frozenset({"read"}))
        database.add(1, revoked_at=NOW, revoked_by="cli")
        await ring.refresh()
        assert ring.find(credential) is None
        assert await refused(ring, credential) == "This API key was revoked"

    asyncio.run(run())


def test_what_is_a_second_old_admits_nobody_until_it_is_read_anew(
    ring: KeyRing, database: Database, move: Time
) -> None:
    async def run() -> None:
        credential = database.add(1)
        await ring.identify(credential)
        # The event loop stood still, and the key was revoked meanwhile.
        database.add(1, revoked_at=NOW, revoked_by="cli")
        move(0.95)
        assert ring.find(credential) is None
        assert await refused(ring, credential) == "This API key was revoked"

    asyncio.run(run())


def test_a_read_that_began_long_before_a_request_admits_nobody(ring: KeyRing, database: Database, move: Time) -> None:
    async def run() -> None:
        credential = database.add(1)
        await ring.identify(credential)
        move(0.95)
        under_way = asyncio.create_task(ring.refresh())
        # The database stands still after it has read that nothing has changed; then the key is revoked.
        database.answers.clear()
        await asyncio.wait_for(database.waiting.wait(), 30)
        database.add(1, revoked_at=NOW, revoked_by="cli")
        move(1.5)
        request = asyncio.create_task(refused(ring, credential))
        await asyncio.sleep(0)
        database.answers.set()
        assert await request == "This API key was revoked"
        await under_way

    asyncio.run(run())


def test_without_the_database_nobody_is_admitted_a_second_later(ring: KeyRing, database: Database, move: Time) -> None:
    async def run() -> None:
        credential = database.add(1)
        await ring.identify(credential)
        database.is_down = True
        assert (await ring.identify(credential)).actor == "key:1"
        move(0.95)
        assert ring.find(credential) is None
        with pytest.raises(Unavailable):
            await ring.identify(credential)
        database.is_down = False
        assert (await ring.identify(credential)).actor == "key:1"

    asyncio.run(run())


def test_those_who_come_at_once_share_one_read(ring: KeyRing, database: Database, move: Time) -> None:
    async def run() -> None:
        credential = database.add(1)
        move(0)
        callers = await asyncio.gather(*(ring.identify(credential) for _ in range(50)))
        assert {caller.actor for caller in callers} == {"key:1"}
        assert database.reads == ["version", "keys"]

    asyncio.run(run())


def test_a_flood_of_unknown_keys_reads_the_database_a_few_times_only(ring: KeyRing, database: Database) -> None:
    async def run() -> None:
        await ring.refresh()
        credential = key_of(99, SECRET).encode()
        before = len(database.reads)
        for _ in range(4):
            await asyncio.gather(*(refused(ring, credential) for _ in range(200)))
        assert len(database.reads) - before <= 10

    asyncio.run(run())


def test_a_key_that_was_just_made_is_found(ring: KeyRing, database: Database) -> None:
    async def run() -> None:
        await ring.refresh()
        credential = database.add(7)
        assert ring.find(credential) is None
        assert (await ring.identify(credential)).actor == "key:7"

    asyncio.run(run())


def test_a_wrong_secret_is_compared_in_constant_time_and_refused_like_an_unknown_key(
    ring: KeyRing, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[str, str]] = []

    def compare(one: str, other: str) -> bool:
        compared.append((one, other))
        return one == other

    monkeypatch.setattr(key_ring, "compare_digest", compare)

    async def run() -> None:
        database.add(1, revoked_at=NOW, revoked_by="cli")
        forged = key_of(1, new_secret()).encode()
        # Whether a key was revoked is for those who have it.
        assert await refused(ring, forged) == await refused(ring, key_of(9, SECRET).encode())

    asyncio.run(run())
    assert compared, "no other comparison decides"
    assert all(len(one) == len(other) == 64 for one, other in compared)


def test_a_key_that_was_verified_ends_at_its_end(database: Database) -> None:
    now = NOW
    ring = KeyRing(database, database, lambda: now)  # type: ignore[arg-type]  # stands for both

    async def run() -> None:
        nonlocal now
        credential = database.add(1, ends_at=NOW + timedelta(seconds=1))
        await ring.identify(credential)
        assert ring.find(credential) is not None
        now += timedelta(seconds=1)
        assert ring.find(credential) is None
        assert await refused(ring, credential) == "This API key has ended"

    asyncio.run(run())


def test_a_key_used_often_is_recorded_once_a_minute(ring: KeyRing, database: Database) -> None:
    async def run() -> None:
        credential = database.add(1)
        for _ in range(3):
            await ring.identify(credential)
            await ring._record_uses()
        assert database.recorded == [(1,)]

    asyncio.run(run())


def test_a_use_that_could_not_be_recorded_is_recorded_later(ring: KeyRing, database: Database) -> None:
    async def run() -> None:
        await ring.identify(database.add(1))
        database.is_down = True
        await ring._record_uses()
        database.is_down = False
        await ring._record_uses()
        assert database.recorded == [(1,)]

    asyncio.run(run())
