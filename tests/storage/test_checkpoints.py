"""WAL checkpoints: the WAL stays bounded even if there is always a reader, and a failing checkpoint harms no commit."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread

import pytest

from jangteo.core.wallets import ChargeBalance, RegisterUser, UserBalance
from jangteo.engine.batch import Submission, commit
from jangteo.engine.outcomes import SerializedOutcome, serialize
from jangteo.storage import wallets
from jangteo.storage.sqlite import checkpoints
from jangteo.storage.urls import open_storage

CHARGES = 300


def now() -> datetime:
    return datetime(2026, 11, 23, tzinfo=UTC)


@contextmanager
def always_a_reader(sqlite_database: str) -> Iterator[None]:
    """Open each snapshot before the previous one is closed, so that there is always a reader."""
    reads, done = Event(), Event()

    def read() -> None:
        storage = open_storage(sqlite_database)
        connections = [storage.connect(), storage.connect()]
        open_now = ExitStack()
        while not done.is_set():
            following = ExitStack()
            snapshot = following.enter_context(connections[0].snapshot(now()))
            wallets.read_balance(snapshot, 1)
            reads.set()
            open_now.close()
            open_now = following
            connections.reverse()
        open_now.close()
        for connection in connections:
            connection.close()

    thread = Thread(target=read)
    thread.start()
    assert reads.wait(30)
    yield
    done.set()
    thread.join()


@pytest.mark.parametrize("bounded", [True, False])
def test_the_wal_is_restarted_although_there_is_always_a_reader(
    sqlite_database: str, monkeypatch: pytest.MonkeyPatch, *, bounded: bool
) -> None:
    if bounded:
        monkeypatch.setattr(checkpoints, "CHECKPOINT_AFTER_CHANGES", 10)
        monkeypatch.setattr(checkpoints, "RESTART_AT_PAGES", 20)
    writer = open_storage(sqlite_database).connect()
    commit(writer, [Submission(RegisterUser(None))], now)
    wal = Path(f"{sqlite_database.removeprefix('sqlite:///')}-wal")
    with always_a_reader(sqlite_database):
        for _ in range(CHARGES):
            assert isinstance(commit(writer, [Submission(ChargeBalance(1, 1))], now).outcomes[0], SerializedOutcome)
        size = wal.stat().st_size
    # Without a restart it contains every page that was written: two or more for each charge.
    all_pages = 2 * 4_096 * CHARGES
    assert (size < all_pages / 2) == bounded, size
    with writer.snapshot(now()) as snapshot:
        assert getattr(wallets.read_balance(snapshot, 1), "balance", None) == CHARGES
    writer.close()
    assert not wal.exists(), "the last connection to close should checkpoint the rest"


def test_commits_succeed_although_checkpoints_fail(sqlite_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    attempted = Event()

    def fail() -> sqlite3.Connection:
        attempted.set()
        raise sqlite3.OperationalError("injected")

    monkeypatch.setattr(checkpoints, "CHECKPOINT_AFTER_CHANGES", 1)
    writer = open_storage(sqlite_database).connect()
    writer._checkpointer = checkpoints.Checkpointer(fail)  # type: ignore[attr-defined]  # only SQLite's has one
    for number in range(1, 4):
        outcomes = commit(writer, [Submission(RegisterUser(None))], now).outcomes
        assert outcomes == [serialize(UserBalance(number, 0))]
    assert attempted.wait(30)
    writer.close()
