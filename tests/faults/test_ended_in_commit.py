"""A session is ended while it commits: the commit is done all the same, and the farewell comes behind its answer."""

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
def slow_to_commit() -> Iterator[Server]:
    """A server whose commits take a tenth of a second, as they do on a busy disk."""
    with running_server(fsync="on", commit_delay="100000", commit_siblings="0") as server:
        yield server


def end_in_commit(database: str) -> None:
    """End the session that commits, as soon as one does."""
    with psycopg.connect(database, autocommit=True) as other:
        ended = False
        while not ended:
            found = other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid() AND state = 'active' "
                "AND query = 'COMMIT'"
            ).fetchall()
            ended = bool(found)


def charge(connection: Connection, *amounts: int) -> list[object]:
    done = commit(connection, [Submission(ChargeBalance(1, amount)) for amount in amounts], lambda: NOW)
    return [answer.value() if isinstance(answer, SerializedOutcome) else answer for answer in done.outcomes]


@pytest.mark.parametrize("amounts", [(1,), (1, 2)])
def test_what_was_committed_is_not_done_again(slow_to_commit: Server, amounts: tuple[int, ...]) -> None:
    database = slow_to_commit.create(f"charged_{len(amounts)}")
    storage = open_storage(database)
    storage.prepare()
    with closing(storage.connect()) as connection, ThreadPoolExecutor(1) as pool:
        commit(connection, [Submission(RegisterUser(None))], lambda: NOW)
        balance = 0
        for _ in range(ROUNDS):
            ending = pool.submit(end_in_commit, database)
            answers = charge(connection, *amounts)
            ending.result()
            expected = []
            for amount in amounts:
                balance += amount
                expected.append(UserBalance(1, balance))
            assert answers == expected
        assert charge(connection, 5) == [UserBalance(1, balance + 5)]
