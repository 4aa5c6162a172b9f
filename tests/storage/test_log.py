"""The write-ahead log stays bounded, also with readers that are always there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread

import pytest

from jangteo.core.wallets import ChargeBalance, RegisterUser
from jangteo.engine.batch import Answer, Asked, commit
from jangteo.storage import sqlite, wallets
from jangteo.storage.opening import open_storage

BOUND = 200_000
CHARGES = 300


def now() -> datetime:
    return datetime(2026, 11, 23, tzinfo=UTC)


@contextmanager
def always_a_reader(database: str) -> Iterator[None]:
    """Each reader comes before the one before it leaves: there is never a moment without one."""
    reading, done = Event(), Event()

    def read() -> None:
        storage = open_storage(database)
        connections = [storage.connect(), storage.connect()]
        open_now = ExitStack()
        while not done.is_set():
            following = ExitStack()
            snapshot = following.enter_context(connections[0].snapshot(now()))
            wallets.read_balance(snapshot, 1)
            reading.set()
            open_now.close()
            open_now = following
            connections.reverse()
        open_now.close()
        for connection in connections:
            connection.close()

    thread = Thread(target=read)
    thread.start()
    assert reading.wait(30)
    yield
    done.set()
    thread.join()


@pytest.mark.parametrize("bound", [BOUND, 10**9])
def test_the_log_is_begun_anew_although_someone_is_always_reading(
    database: str, monkeypatch: pytest.MonkeyPatch, bound: int
) -> None:
    monkeypatch.setattr(sqlite, "_LOG_MAX_BYTES", bound)
    writer = open_storage(database).connect()
    commit(writer, [Asked(RegisterUser(None))], now)
    log = Path(f"{database.removeprefix('sqlite:///')}-wal")
    with always_a_reader(database):
        for _ in range(CHARGES):
            assert isinstance(commit(writer, [Asked(ChargeBalance(1, 1))], now).answers[0], Answer)
        size = log.stat().st_size
    # It may grow by a quarter or two where a reader was in the way; without the bound it grows to ten times as much.
    assert (size <= 3 * BOUND) == (bound == BOUND), size
    with writer.snapshot(now()) as snapshot:
        assert getattr(wallets.read_balance(snapshot, 1), "balance", None) == CHARGES
    writer.close()
