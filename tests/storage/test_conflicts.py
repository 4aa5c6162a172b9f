"""What is a conflict, and so retried, and what is not: lost guards are; errors of values and statements are not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime

import pytest

from jangteo.core.book import Book
from jangteo.core.wallets import ChargeBalance, RegisterUser, UserBalance
from jangteo.engine import batch
from jangteo.engine.batch import Failed, Submission, commit
from jangteo.engine.outcomes import serialize
from jangteo.storage import schema
from jangteo.storage.book import save_book
from jangteo.storage.errors import Broken, Conflict
from jangteo.storage.port import Connection, GuardedChange, Row, Session
from jangteo.storage.postgres.statements import GUARD_MARKER
from jangteo.storage.urls import open_storage

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
BALANCE = GuardedChange(schema.users, ("balance",), ("balance",))
# Balances are 0: a guard of 0 is right, a guard of 1 is lost.
LOST = [
    [(5, 1, 1)],
    [(5, 1, 1), (5, 2, 1)],
    [(5, 1, 0), (5, 2, 1)],
    [(5, 1, 0), (5, 99, 0)],
]
DIVISION = "SELECT 1 / CAST(:value AS BIGINT)"
# Errors of a statement that look like the one of a lost guard, or used to.
BROKEN: list[tuple[str, int | str]] = [
    (DIVISION, 0),
    ("SELECT CAST(CAST(:value AS TEXT) AS BIGINT)", "one"),
    ("SELECT CAST(CAST(:value AS TEXT) AS BOOLEAN)", "perhaps"),
]


@pytest.fixture
def connection(database: str) -> Iterator[Connection]:
    with closing(open_with_users(database)) as opened:
        yield opened


@pytest.fixture
def postgres_connection(postgres_database: str) -> Iterator[Connection]:
    with closing(open_with_users(postgres_database)) as opened:
        yield opened


def open_with_users(database: str) -> Connection:
    opened = open_storage(database).connect()
    commit(opened, [Submission(RegisterUser(None))] * 2, lambda: NOW)
    return opened


def balances(connection: Connection) -> list[Row]:
    with connection.snapshot(NOW) as snapshot:
        return [tuple(row) for row in snapshot.rows("SELECT id, balance FROM users ORDER BY id")]


@pytest.mark.parametrize("rows", LOST)
def test_a_guarded_change_that_finds_too_few_rows_is_a_conflict(connection: Connection, rows: list[Row]) -> None:
    with pytest.raises(Conflict), connection.transaction() as session:
        session.change(BALANCE, rows)
    assert balances(connection) == [(1, 0), (2, 0)]


def test_a_guarded_change_that_finds_all_rows_is_committed(connection: Connection) -> None:
    with connection.transaction() as session:
        session.change(BALANCE, [(5, 1, 0), (6, 2, 0)])
    assert balances(connection) == [(1, 5), (2, 6)]


def test_one_lost_guard_among_several_changes_undoes_all_of_them(connection: Connection) -> None:
    names = GuardedChange(schema.users, ("name",), ("name",))

    def change_both() -> None:
        with connection.transaction() as session:
            session.change(BALANCE, [(5, 1, 0), (5, 2, 0)])
            session.change(names, [("Kim", 1, "Lee")])

    with pytest.raises(Conflict):
        change_both()
    assert balances(connection) == [(1, 0), (2, 0)]


def test_the_error_of_a_lost_guard_names_it(postgres_connection: Connection) -> None:
    with pytest.raises(Conflict, match=GUARD_MARKER), postgres_connection.transaction() as session:
        session.change(BALANCE, [(5, 1, 1)])


@pytest.mark.parametrize(("sql", "value"), BROKEN)
def test_other_errors_of_a_statement_are_no_conflict(
    postgres_connection: Connection, sql: str, value: int | str
) -> None:

    def change_and_run() -> None:
        with postgres_connection.transaction() as session:
            session.change(BALANCE, [(5, 1, 0)])
            session.rows(sql, value=value)

    with pytest.raises(Broken):
        change_and_run()
    assert balances(postgres_connection) == [(1, 0), (2, 0)]


def test_a_division_by_zero_fails_its_batch_without_a_retry(
    postgres_connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts: list[int] = []

    def save_and_divide(session: Session, book: Book) -> None:
        attempts.append(len(book.ledger))
        save_book(session, book)
        session.run(DIVISION, value=len(book.ledger) - 1)

    monkeypatch.setattr(batch, "save_book", save_and_divide)
    charges = [Submission(ChargeBalance(user, 5)) for user in (1, 2)]
    single = commit(postgres_connection, charges[:1], lambda: NOW).outcomes
    assert [type(outcome) for outcome in single] == [Failed]
    assert attempts == [1]
    both = commit(postgres_connection, charges, lambda: NOW).outcomes
    assert both == [serialize(UserBalance(1, 5)), serialize(UserBalance(2, 5))]
