"""The connection to PostgreSQL is lost anywhere in a transaction: it is executed once, and its answer is true."""

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
from jangteo.storage.postgres import pipeline
from jangteo.storage.urls import open_storage
from tests.faults.cutting import CuttingProxy, Direction
from tests.postgres import Server, terminate_all

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
# A charge takes two round trips, with a key or without: begin, load, and reserve an id; write and commit.
ROUND_TRIPS = {None: 2, "a-key": 2}
CUTS = [
    (key, direction, message, share)
    for key, round_trips in ROUND_TRIPS.items()
    for direction in ("to the server", "to the client")
    for message in range(1, round_trips + 1)
    for share in (0.0, 0.25, 0.5, 0.75)
]


@pytest.fixture
def proxy(postgres: Server) -> Iterator[CuttingProxy]:
    opened = CuttingProxy(postgres.port)
    yield opened
    opened.close()


@pytest.fixture
def connection(
    postgres: Server, postgres_database: str, proxy: CuttingProxy, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Connection]:
    # Plan-cache invalidation would take another round trip at a random point.
    monkeypatch.setattr(pipeline, "PLAN_TTL_S", 3_600.0)
    opened = open_storage(postgres_database.replace(str(postgres.port), str(proxy.port))).connect()
    submit(opened, Submission(RegisterUser(None)))
    # Statements that are sent for the first time take more round trips.
    submit(opened, Submission(ChargeBalance(1, 60)))
    submit(opened, Submission(ChargeBalance(1, 40), "before"))
    yield opened
    opened.close()


def submit(connection: Connection, *submissions: Submission) -> BatchResult:
    return commit(connection, submissions, lambda: NOW)


def ledger(database: str) -> list[int]:
    opened = open_storage(database).connect()
    with opened.snapshot(NOW) as snapshot:
        entries = wallets.read_ledger(snapshot, 1, 100, None)
    opened.close()
    return [entry.amount for entry in getattr(entries, "items", [])]


@pytest.mark.parametrize(("key", "direction", "message", "share"), CUTS)
def test_a_transaction_that_is_cut_anywhere_is_executed_once(
    connection: Connection,
    proxy: CuttingProxy,
    postgres_database: str,
    key: str | None,
    direction: Direction,
    message: int,
    share: float,
) -> None:
    proxy.cut(direction, message, share)
    assert submit(connection, Submission(ChargeBalance(1, 5), key)).outcomes == [serialize(UserBalance(1, 105))]
    assert proxy.has_cut.is_set(), "there is no such message"
    assert submit(connection, Submission(ChargeBalance(1, 7))).outcomes == [serialize(UserBalance(1, 112))]
    assert ledger(postgres_database) == [7, 5, 40, 60]


@pytest.mark.parametrize(("key", "round_trips"), ROUND_TRIPS.items())
@pytest.mark.parametrize("direction", ["to the server", "to the client"])
def test_a_charge_has_no_more_round_trips_than_are_cut(
    connection: Connection, proxy: CuttingProxy, key: str | None, round_trips: int, direction: Direction
) -> None:
    proxy.cut(direction, round_trips + 1, 0.0)
    submit(connection, Submission(ChargeBalance(1, 5), key))
    assert not proxy.has_cut.is_set()


def test_resolving_a_commit_again_gives_the_same_result(connection: Any) -> None:
    # The last transaction is committed; the next one isn't, and never will be once it has been resolved.
    connection._transactions -= 1
    assert [connection._resolve(connection._pipeline) for _ in range(3)] == [True] * 3
    connection._transactions += 1
    assert [connection._resolve(connection._pipeline) for _ in range(3)] == [False] * 3
    assert submit(connection, Submission(ChargeBalance(1, 5))).outcomes == [serialize(UserBalance(1, 105))]


def test_a_connection_whose_transaction_counter_was_deleted_inserts_a_new_one(
    connection: Connection, postgres_database: str
) -> None:
    with psycopg.connect(postgres_database) as other:
        other.execute("DELETE FROM writers")
    assert submit(connection, Submission(ChargeBalance(1, 5))).outcomes == [serialize(UserBalance(1, 105))]


def test_a_connection_lost_while_idle_is_replaced(connection: Connection, postgres_database: str) -> None:
    terminate_all(postgres_database)
    assert submit(connection, Submission(ChargeBalance(1, 5))).outcomes == [serialize(UserBalance(1, 105))]


def test_queries_succeed_although_their_idle_connection_was_lost(
    connection: Connection, postgres_database: str
) -> None:
    async def scenario() -> None:
        reads = Reads(open_storage(postgres_database), lambda: NOW, threads=1, batch_max=10, queue_max=10)
        reads.start()
        for _ in range(3):
            assert await reads.run(Query(wallets.read_balance, (1,))) == CurrentBalance(100)
            terminate_all(postgres_database)
        await reads.stop()

    asyncio.run(scenario())


def test_a_commit_that_cannot_be_resolved_fails_as_not_known(
    connection: Any, proxy: CuttingProxy, postgres_database: str
) -> None:
    connection._timeout_s = 0.0
    proxy.cut("to the client", 2, 0.0)
    # The server can't be reached any more.
    proxy.close()
    (failed,) = submit(connection, Submission(ChargeBalance(1, 5))).outcomes
    assert "is not known" in getattr(failed, "reason", "")
    assert ledger(postgres_database) == [5, 40, 60]
