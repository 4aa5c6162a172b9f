"""Connections to a SQLite file: a new or restored database is switched to WAL mode, whoever opens it first."""

from __future__ import annotations

import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier

import pytest

from jangteo.storage import schema
from jangteo.storage.port import Insert
from jangteo.storage.sqlite import connection
from jangteo.storage.sqlite.connection import SqliteConnection, SqliteSession, open_connection
from jangteo.storage.sqlite.files import ShopFiles

THREADS, ROUNDS = 3, 60


class Refusing:
    """A driver's connection that refuses a statement some times, as SQLite does when two connections switch at once."""

    def __init__(self, code: int, times: int) -> None:
        self._code = code
        self.refusals_left = times

    def execute(self, _: str) -> None:
        if self.refusals_left:
            self.refusals_left -= 1
            error = sqlite3.OperationalError("database is locked")
            error.sqlite_errorcode = self._code
            raise error


def test_a_refused_switch_to_wal_is_repeated() -> None:
    raw = Refusing(sqlite3.SQLITE_BUSY_RECOVERY, times=3)
    connection._switch_to_wal(raw)  # type: ignore[arg-type]  # all that it uses
    assert raw.refusals_left == 0


@pytest.mark.parametrize(("code", "timeout_ms"), [(sqlite3.SQLITE_BUSY, 0), (sqlite3.SQLITE_IOERR, 5_000)])
def test_the_switch_to_wal_fails_after_the_timeout_or_for_another_reason(
    code: int, timeout_ms: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "BUSY_TIMEOUT_MS", timeout_ms)
    with pytest.raises(sqlite3.OperationalError):
        connection._switch_to_wal(Refusing(code, times=1_000_000))  # type: ignore[arg-type]  # as above


def test_connections_that_open_a_new_database_at_once_all_succeed(tmp_path: Path) -> None:
    """Without repeating the switch about one round in ten fails."""
    template = tmp_path / "template.db"
    with closing(sqlite3.connect(template)) as raw:
        raw.execute("CREATE TABLE kept (id INTEGER)")
    together = Barrier(THREADS)

    def open_and_read(path: Path) -> str:
        together.wait(10)
        with closing(open_connection(path)) as raw:
            return str(raw.execute("PRAGMA journal_mode").fetchone()[0])

    with ThreadPoolExecutor(THREADS) as threads:
        for number in range(ROUNDS):
            path = Path(shutil.copy(template, tmp_path / f"{number}.db"))
            assert list(threads.map(open_and_read, [path] * THREADS)) == ["wal"] * THREADS


def test_only_a_connection_that_commits_has_a_large_cache(tmp_path: Path) -> None:
    """The others are many, and each of them fills its cache by one long query."""
    path = tmp_path / "shop.db"
    path.touch()
    files = ShopFiles(path)
    with closing(SqliteConnection(path, files)) as committing, closing(SqliteConnection(path, files)) as reading:
        with committing.transaction():
            pass
        sizes_kib = []
        for each in (committing, reading):
            with each.snapshot(datetime.now(UTC)) as snapshot:
                sizes_kib.append(-int(snapshot.rows("PRAGMA cache_size")[0][0]))
    assert sizes_kib[0] >= 4 * sizes_kib[1] > 0


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 31, 32, 33, 40, 79, 200])
def test_every_row_is_inserted_with_its_own_values_however_many_there_are(count: int) -> None:
    rows = [(number, f"product {number}") for number in range(1, count + 1)]
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as raw:
        raw.execute("CREATE TABLE products (id INTEGER PRIMARY KEY, name TEXT)")
        SqliteSession(raw, {}).insert(Insert(schema.products, ("id", "name")), rows)
        assert raw.execute("SELECT id, name FROM products ORDER BY id").fetchall() == rows
