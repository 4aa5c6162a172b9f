"""The write-ahead log stays bounded, also with readers that are always there."""

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
    """Each reader comes before the one before it leaves: there is never a moment without one."""
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
def test_the_log_is_begun_anew_although_someone_is_always_reading(
    sqlite_database: str, monkeypatch: pytest.MonkeyPatch, *, bounded: bool
) -> None:
    if bounded:
        monkeypatch.setattr(checkpoints, "CHECKPOINT_AFTER_CHANGES", 10)
        monkeypatch.setattr(checkpoints, "RESTART_AT_PAGES", 20)
    writer = open_storage(sqlite_database).connect()
    commit(writer, [Submission(RegisterUser(None))], now)
    log = Path(f"{sqlite_database.removeprefix('sqlite:///')}-wal")
    with always_a_reader(sqlite_database):
        for _ in range(CHARGES):
            assert isinstance(commit(writer, [Submission(ChargeBalance(1, 1))], now).outcomes[0], SerializedOutcome)
        size = log.stat().st_size
    # Without a bound every page that was ever written is in it: two or more a charge.
    everything = 2 * 4_096 * CHARGES
    assert (size < everything / 2) == bounded, size
    with writer.snapshot(now()) as snapshot:
        assert getattr(wallets.read_balance(snapshot, 1), "balance", None) == CHARGES
    writer.close()
    assert not log.exists(), "the last to close folds what is left"


def test_folding_that_fails_leaves_the_commits_alone(sqlite_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = Event()

    def unable() -> sqlite3.Connection:
        tried.set()
        raise sqlite3.OperationalError("injected")

    monkeypatch.setattr(checkpoints, "CHECKPOINT_AFTER_CHANGES", 1)
    writer = open_storage(sqlite_database).connect()
    writer._checkpointer = checkpoints.Checkpointer(unable)  # type: ignore[attr-defined]  # only SQLite's has one
    for number in range(1, 4):
        told = commit(writer, [Submission(RegisterUser(None))], now).outcomes
        assert told == [serialize(UserBalance(number, 0))]
    assert tried.wait(30)
    writer.close()
