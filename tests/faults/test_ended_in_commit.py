"""A session is terminated while it commits: the commit succeeds, and the error arrives after its result."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime

import psycopg
import pytest

from jangteo.core.wallets import ChargeBalance, RegisterUser, UserBalance
from jangteo.engine.batch import Submission, commit
from jangteo.engine.outcomes import SerializedOutcome
from jangteo.storage.port import Connection
from jangteo.storage.urls import open_storage
from tests.postgres import Server, running_server

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
ROUNDS = 5


@pytest.fixture(scope="module")
def slow_server() -> Iterator[Server]:
    """A server whose commits take a tenth of a second, as on a busy disk."""
    with running_server(fsync="on", commit_delay="100000", commit_siblings="0") as server:
        yield server


def terminate_committing(database: str) -> None:
    """Wait until a session commits, and terminate it."""
    with psycopg.connect(database, autocommit=True) as other:
        terminated = False
        while not terminated:
            rows = other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid() AND state = 'active' "
                "AND query = 'COMMIT'"
            ).fetchall()
            terminated = bool(rows)


def charge(connection: Connection, *amounts: int) -> list[object]:
    result = commit(connection, [Submission(ChargeBalance(1, amount)) for amount in amounts], lambda: NOW)
    return [each.value() if isinstance(each, SerializedOutcome) else each for each in result.outcomes]


@pytest.mark.parametrize("amounts", [(1,), (1, 2)])
def test_a_committed_batch_is_not_executed_again(slow_server: Server, amounts: tuple[int, ...]) -> None:
    database = slow_server.create(f"charged_{len(amounts)}")
    storage = open_storage(database)
    storage.prepare()
    with closing(storage.connect()) as connection, ThreadPoolExecutor(1) as pool:
        commit(connection, [Submission(RegisterUser(None))], lambda: NOW)
        balance = 0
        for _ in range(ROUNDS):
            termination = pool.submit(terminate_committing, database)
            outcomes = charge(connection, *amounts)
            termination.result()
            expected = []
            for amount in amounts:
                balance += amount
                expected.append(UserBalance(1, balance))
            assert outcomes == expected
        assert charge(connection, 5) == [UserBalance(1, balance + 5)]
