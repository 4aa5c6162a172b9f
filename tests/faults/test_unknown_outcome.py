"""The connection to PostgreSQL is lost at every place of a transaction: it is done once, and the answer is true."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from jangteo.core.wallets import ChargeBalance, CurrentBalance, RegisterUser, UserBalance
from jangteo.engine.batch import BatchResult, Submission, commit
from jangteo.engine.outcomes import serialize
from jangteo.engine.reads import Reads
from jangteo.storage import wallets
from jangteo.storage.port import Connection, Query
from jangteo.storage.postgres import connection as postgres_side
from jangteo.storage.postgres import pipeline
from jangteo.storage.urls import open_storage
from tests.faults.cutting import CuttingProxy, Direction
from tests.postgres import Server, terminate_all

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
# A charge goes to the server and back twice, with a key too: begin, load and take an id; write and commit.
WAYS = {None: 2, "a-key": 2}
PLACES = [
    (key, direction, turn, share)
    for key, ways in WAYS.items()
    for direction in ("to the server", "to the client")
    for turn in range(1, ways + 1)
    for share in (0.0, 0.25, 0.5, 0.75)
]


@pytest.fixture
def proxy(postgres: Server) -> Iterator[CuttingProxy]:
    cutting = CuttingProxy(postgres.port)
    yield cutting
    cutting.close()


@pytest.fixture
def connection(
    postgres: Server, postgres_database: str, proxy: CuttingProxy, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Connection]:
    # That plans are renewed would be a turn more, whenever it comes.
    monkeypatch.setattr(pipeline, "PLAN_TTL_S", 3_600.0)
    opened = open_storage(postgres_database.replace(str(postgres.port), str(proxy.port))).connect()
    done(opened, Submission(RegisterUser(None)))
    # Whatever is sent for the first time takes more turns.
    done(opened, Submission(ChargeBalance(1, 60)))
    done(opened, Submission(ChargeBalance(1, 40), "before"))
    yield opened
    opened.close()


def done(connection: Connection, *asked: Submission) -> BatchResult:
    return commit(connection, asked, lambda: NOW)


def ledger(database: str) -> list[int]:
    opened = open_storage(database).connect()
    with opened.snapshot(NOW) as snapshot:
        entries = wallets.read_ledger(snapshot, 1, 100, None)
    opened.close()
    return [entry.amount for entry in getattr(entries, "items", [])]


@pytest.mark.parametrize(("key", "direction", "turn", "share"), PLACES)
def test_a_transaction_that_is_cut_anywhere_is_done_once(
    connection: Connection,
    proxy: CuttingProxy,
    postgres_database: str,
    key: str | None,
    direction: Direction,
    turn: int,
    share: float,
) -> None:
    proxy.cut(direction, turn, share)
    assert done(connection, Submission(ChargeBalance(1, 5), key)).outcomes == [serialize(UserBalance(1, 105))]
    assert proxy.has_cut.is_set(), "there is no such turn"
    assert done(connection, Submission(ChargeBalance(1, 7))).outcomes == [serialize(UserBalance(1, 112))]
    assert ledger(postgres_database) == [7, 5, 40, 60]


@pytest.mark.parametrize(("key", "ways"), WAYS.items())
@pytest.mark.parametrize("direction", ["to the server", "to the client"])
def test_these_are_all_places_there_are(
    connection: Connection, proxy: CuttingProxy, key: str | None, ways: int, direction: Direction
) -> None:
    proxy.cut(direction, ways + 1, 0.0)
    done(connection, Submission(ChargeBalance(1, 5), key))
    assert not proxy.has_cut.is_set()


def test_who_asks_again_whether_a_commit_has_landed_hears_the_same(connection: Any) -> None:
    # The transaction before has landed; the next one hasn't, and never will once someone has asked.
    connection._transactions -= 1
    assert [connection._resolve(connection._pipeline) for _ in range(3)] == [True] * 3
    connection._transactions += 1
    assert [connection._resolve(connection._pipeline) for _ in range(3)] == [False] * 3
    assert done(connection, Submission(ChargeBalance(1, 5))).outcomes == [serialize(UserBalance(1, 105))]


def test_a_writer_whose_row_is_gone_takes_a_new_one(connection: Connection, postgres_database: str) -> None:
    with psycopg.connect(postgres_database) as other:
        other.execute("DELETE FROM writers")
    assert done(connection, Submission(ChargeBalance(1, 5))).outcomes == [serialize(UserBalance(1, 105))]


def test_a_connection_that_was_idle_and_is_gone_is_replaced(connection: Connection, postgres_database: str) -> None:
    terminate_all(postgres_database)
    assert done(connection, Submission(ChargeBalance(1, 5))).outcomes == [serialize(UserBalance(1, 105))]


def test_who_reads_does_not_notice_that_an_idle_connection_is_gone(
    connection: Connection, postgres_database: str
) -> None:
    async def play() -> None:
        reads = Reads(open_storage(postgres_database), lambda: NOW, threads=1, batch_max=10, queue_max=10)
        reads.start()
        for _ in range(3):
            assert await reads.run(Query(wallets.read_balance, (1,))) == CurrentBalance(100)
            terminate_all(postgres_database)
        await reads.stop()

    asyncio.run(play())


def test_what_cannot_be_found_out_is_not_called_done(
    connection: Connection, proxy: CuttingProxy, postgres_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_side, "RESOLVE_TIMEOUT_S", 0.0)
    proxy.cut("to the client", 2, 0.0)
    # Nobody can reach the server any more.
    proxy.close()
    (failed,) = done(connection, Submission(ChargeBalance(1, 5))).outcomes
    assert "is not known" in getattr(failed, "reason", "")
    assert ledger(postgres_database) == [5, 40, 60]
