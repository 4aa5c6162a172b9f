"""One batch, one transaction: refusals, idempotency keys, commands that fail, and failing commits."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jangteo.core.book import Book, Needs
from jangteo.core.entities import Order, Product
from jangteo.core.keys import CreateKey
from jangteo.core.orders import CancelOrder, PlaceOrder, RequestedItem
from jangteo.core.products import AddProduct, ChangeProduct, MoveStock
from jangteo.core.refusals import KeyReused, NeverValid, OutOfStock, UserNotFound
from jangteo.core.wallets import ChargeBalance, RegisterUser, UserBalance
from jangteo.engine.batch import IDEMPOTENCY_TTL, Failed, Submission, commit
from jangteo.engine.outcomes import SerializedOutcome, serialize
from jangteo.storage import wallets
from jangteo.storage.errors import Conflict
from jangteo.storage.idempotency import owned_key
from jangteo.storage.keys import read_all_keys
from jangteo.storage.port import Connection
from jangteo.storage.urls import open_storage

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


@pytest.fixture
def connection(database: str) -> Iterator[Connection]:
    yield from set_up(database)


@pytest.fixture
def sqlite_connection(sqlite_database: str) -> Iterator[Connection]:
    yield from set_up(sqlite_database)


def set_up(database: str) -> Iterator[Connection]:
    opened = open_storage(database).connect()
    assert_committed(opened, RegisterUser(None), AddProduct("rice", 100, 10), ChargeBalance(1, 100_000))
    yield opened
    opened.close()


def outcomes_of(connection: Connection, *commands: Any, now: datetime = NOW) -> list[Any]:
    submissions = [each if isinstance(each, Submission) else Submission(each) for each in commands]
    return commit(connection, submissions, lambda: now).outcomes


def assert_committed(connection: Connection, *commands: Any) -> None:
    assert all(isinstance(outcome, SerializedOutcome) for outcome in outcomes_of(connection, *commands))


def balance(connection: Connection, user_id: int = 1) -> Any:
    with connection.snapshot(NOW) as snapshot:
        return getattr(wallets.read_balance(snapshot, user_id), "balance", None)


def order(quantity: int) -> PlaceOrder:
    return PlaceOrder(1, (RequestedItem(1, quantity),), None)


def test_a_refusal_does_not_affect_other_commands_of_its_batch(connection: Connection) -> None:
    outcomes = [each.value() for each in outcomes_of(connection, order(6), order(6), order(4), ChargeBalance(9, 1))]
    assert isinstance(outcomes[0], Order)
    assert outcomes[1] == OutOfStock(1, 4, 6)
    assert isinstance(outcomes[2], Order)
    assert outcomes[3] == UserNotFound(9)
    assert balance(connection) == 99_000


def test_a_command_twice_in_one_batch_with_one_key_is_executed_once(connection: Connection) -> None:
    charge = Submission(ChargeBalance(1, 500), "a")
    assert outcomes_of(connection, charge, charge) == [
        serialize(UserBalance(1, 100_500)),
        serialize(UserBalance(1, 100_500))._replace(replayed=True),
    ]
    assert outcomes_of(connection, charge) == [serialize(UserBalance(1, 100_500))._replace(replayed=True)]
    assert balance(connection) == 100_500


def test_two_callers_equal_keys_are_two_keys_within_one_batch_and_later(connection: Connection) -> None:
    charges = [Submission(ChargeBalance(1, 500), "a", actor) for actor in ("open", "key:1", "key:2", "customer:1")]
    assert [each.value().balance for each in outcomes_of(connection, *charges)] == [100_500, 101_000, 101_500, 102_000]
    assert [each.value().balance for each in outcomes_of(connection, *charges)] == [100_500, 101_000, 101_500, 102_000]
    assert balance(connection) == 102_000


def test_another_callers_key_does_not_tell_that_it_was_used(connection: Connection) -> None:
    assert_committed(connection, Submission(ChargeBalance(1, 500), "a", "key:1"))
    (outcome,) = outcomes_of(connection, Submission(ChargeBalance(1, 700), "a", "key:2"))
    assert outcome == serialize(UserBalance(1, 101_200))


def test_no_key_reads_as_the_key_of_another_caller() -> None:
    # A key has no space in it: see `api.requests.read_key`.
    owned = [owned_key(actor, key) for actor in ("open", "cli", "key:1", "key:11") for key in ("a", "1", "key:1", "1a")]
    assert len(set(owned)) == len(owned)


def test_each_effect_names_the_actor_of_its_own_command(connection: Connection) -> None:
    commands = (RegisterUser(None), ChargeBalance(1, 5), order(1), CancelOrder(1), MoveStock(1, 3))
    assert_committed(connection, *[Submission(each, None, f"key:{number}") for number, each in enumerate(commands)])
    with connection.snapshot(NOW) as snapshot:
        entries = snapshot.rows("SELECT kind, actor FROM ledger_entries ORDER BY id")
        orders = snapshot.rows("SELECT actor, cancelled_by FROM orders")
        movements = snapshot.rows("SELECT actor FROM stock_movements ORDER BY id")
    assert entries == [("charge", "open"), ("charge", "key:1"), ("payment", "key:2"), ("refund", "key:3")]
    assert orders == [("key:2", "key:3")]
    assert movements == [("open",), ("key:4",)]


def test_the_refusal_of_a_key_leaves_no_key(connection: Connection) -> None:
    ended = CreateKey("storefront", ("read",), NOW, "00")
    (outcome,) = outcomes_of(connection, ended)
    assert outcome.value() == NeverValid("endsAt", NOW)
    with connection.snapshot(NOW) as snapshot:
        assert read_all_keys(snapshot)[1] == {}


def test_a_repeated_request_for_a_key_gets_the_first_key_though_its_secret_is_another(connection: Connection) -> None:
    first, second = (Submission(CreateKey("storefront", ("read",), None, digest), "a") for digest in ("00", "11"))
    (outcome,) = outcomes_of(connection, first)
    assert outcomes_of(connection, second) == [outcome._replace(replayed=True)]
    with connection.snapshot(NOW) as snapshot:
        assert [key.digest for key in read_all_keys(snapshot)[1].values()] == ["00"]


def test_a_key_reused_for_a_different_request_is_refused(connection: Connection) -> None:
    first, other = Submission(ChargeBalance(1, 500), "a"), Submission(ChargeBalance(1, 501), "a")
    assert outcomes_of(connection, first, other, first) == [
        serialize(UserBalance(1, 100_500)),
        serialize(KeyReused()),
        serialize(UserBalance(1, 100_500))._replace(replayed=True),
    ]


def test_a_refusal_is_replayed_even_if_the_command_would_succeed_now(connection: Connection) -> None:
    too_many = Submission(order(11), "a")
    refused = outcomes_of(connection, too_many)[0]
    assert refused == serialize(OutOfStock(1, 10, 11))
    assert_committed(connection, ChangeProduct(1, None, 1))
    assert outcomes_of(connection, too_many) == [serialize(OutOfStock(1, 10, 11))._replace(replayed=True)]


def test_an_idempotency_record_is_kept_for_a_day_and_then_deleted(connection: Connection) -> None:
    charge = Submission(ChargeBalance(1, 500), "old")
    outcomes_of(connection, charge)
    day_later = NOW + IDEMPOTENCY_TTL
    assert outcomes_of(connection, Submission(ChargeBalance(1, 1), "b"), now=day_later)[0] == serialize(
        UserBalance(1, 100_501)
    )
    assert outcomes_of(connection, charge, now=day_later)[0] == serialize(UserBalance(1, 100_500))._replace(
        replayed=True
    )
    outcomes_of(connection, Submission(ChargeBalance(1, 1), "c"), now=day_later + timedelta(microseconds=1))
    assert outcomes_of(connection, charge, now=day_later + timedelta(seconds=1))[0] == serialize(
        UserBalance(1, 101_002)
    )


class Poison:
    """A command whose change violates a constraint of the schema."""

    def name_needs(self, needs: Needs) -> None:
        needs.products.add(1)

    def decide(self, book: Book) -> str:
        book.products.put(1, Product(1, "rice", 100, -1))
        return "never committed"


class Defect(Poison):
    """A command that raises after half of its change."""

    def decide(self, book: Book) -> str:
        book.products.put(1, Product(1, "rice", 100, 7))
        raise RuntimeError("a defect")


@pytest.mark.parametrize("poison", [Poison(), Defect(), AddProduct("\ud800", 1, 1)])
@pytest.mark.parametrize("index", range(5))
def test_a_command_that_breaks_its_batch_fails_alone(connection: Connection, poison: Any, index: int) -> None:
    commands: list[Any] = [ChargeBalance(1, 1) for _ in range(4)]
    commands.insert(index, poison)
    outcomes = outcomes_of(connection, *commands)
    assert isinstance(outcomes.pop(index), Failed)
    assert outcomes == [serialize(UserBalance(1, 100_000 + number)) for number in (1, 2, 3, 4)]
    assert balance(connection) == 100_004


class FailingCommits:
    """A SQLite connection whose next commit fails with an error code."""

    def __init__(self, raw: sqlite3.Connection, code: int) -> None:
        self._raw = raw
        self._code: int | None = code

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)

    def execute(self, sql: str, *values: Any) -> Any:
        if sql == "COMMIT" and self._code is not None:
            error = sqlite3.OperationalError("injected")
            error.sqlite_errorcode, self._code = self._code, None
            raise error
        return self._raw.execute(sql, *values)


@pytest.mark.parametrize("code", [sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_BUSY])
def test_every_command_of_a_failed_commit_fails_and_changes_nothing(sqlite_connection: Any, code: int) -> None:
    sqlite_connection._raw = FailingCommits(sqlite_connection._raw, code)
    outcomes = outcomes_of(
        sqlite_connection, ChargeBalance(1, 5), order(1), RegisterUser(None), Submission(ChargeBalance(1, 5), "k")
    )
    assert [type(each) for each in outcomes] == [Failed] * 4
    assert balance(sqlite_connection) == 100_000
    assert balance(sqlite_connection, 2) is None
    # The key wasn't used up, and the next batch succeeds.
    assert outcomes_of(sqlite_connection, Submission(ChargeBalance(1, 5), "k")) == [serialize(UserBalance(1, 100_005))]


def test_a_connection_that_cannot_roll_back_is_replaced(sqlite_connection: Any) -> None:
    broken = FailingCommits(sqlite_connection._raw, sqlite3.SQLITE_IOERR)
    sqlite_connection._raw = broken
    broken._raw.close()
    assert isinstance(outcomes_of(sqlite_connection, ChargeBalance(1, 5))[0], Failed)
    assert outcomes_of(sqlite_connection, ChargeBalance(1, 5)) == [serialize(UserBalance(1, 100_005))]


class Conflicting:
    """A connection whose first transactions conflict with others."""

    def __init__(self, connection: Any, times: int) -> None:
        self._connection = connection
        self.times = times

    def transaction(self) -> Any:
        if self.times:
            self.times -= 1
            raise Conflict("injected")
        return self._connection.transaction()


def test_a_batch_is_retried_after_a_conflict_a_bounded_number_of_times(connection: Connection) -> None:
    assert outcomes_of(Conflicting(connection, 3), ChargeBalance(1, 1)) == [serialize(UserBalance(1, 100_001))]  # type: ignore[arg-type]  # has what a batch needs of a connection
    assert isinstance(outcomes_of(Conflicting(connection, 99), ChargeBalance(1, 1))[0], Failed)  # type: ignore[arg-type]  # see above
