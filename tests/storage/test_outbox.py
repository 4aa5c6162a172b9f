"""The outbox: whole event batches wait, late commits are not skipped, and reading needs no scan."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from jangteo.core.book import Command
from jangteo.core.entities import Order, OrderItem
from jangteo.core.events import order_cancelled, order_paid
from jangteo.core.limits import LARGEST
from jangteo.core.orders import PlaceOrder, RequestedItem
from jangteo.core.products import AddProduct
from jangteo.core.relay import MarkSent
from jangteo.core.wallets import ChargeBalance, RegisterUser
from jangteo.engine.batch import Failed, Submission, apply, commit
from jangteo.storage import outbox
from jangteo.storage.outbox import EventBatches
from jangteo.storage.port import Connection
from jangteo.storage.urls import open_storage

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


def submit(connection: Connection, *commands: Command) -> list[Any]:
    """The outcomes of one batch, decoded; none of them failed."""
    outcomes = commit(connection, [Submission(command) for command in commands], lambda: NOW).outcomes
    return [msgspec.json.decode(outcome.body) for outcome in outcomes if not isinstance(outcome, Failed)]


def waiting(connection: Connection, *sent: int, limit: int = 1_000) -> EventBatches | None:
    with connection.snapshot(NOW) as snapshot:
        return outbox.read_waiting(snapshot, frozenset(sent), limit)


def users_of(found: EventBatches | None) -> list[int]:
    lines = [] if found is None else found.lines.splitlines()
    return [msgspec.json.decode(line)["data"]["userId"] for line in lines]


def order(user: int, product: int) -> PlaceOrder:
    return PlaceOrder(user, (RequestedItem(product, 1),), None)


def set_up(connection: Connection) -> None:
    submit(connection, *(RegisterUser(None) for _ in range(3)), *(AddProduct("rice", 1, 9) for _ in range(3)))
    submit(connection, *(ChargeBalance(user, 100) for user in (1, 2, 3)))


def test_event_batches_wait_whole_until_they_are_marked(database: str) -> None:
    with closing(open_storage(database).connect()) as connection:
        set_up(connection)
        assert waiting(connection) is None
        submit(connection, order(1, 1), order(2, 1), order(3, 1))
        submit(connection, order(3, 2))
        first = waiting(connection, limit=2)
        assert first is not None
        assert users_of(first) == [1, 2, 3], "an event batch is never split"
        assert users_of(waiting(connection)) == [1, 2, 3, 3]
        assert users_of(waiting(connection, *first.event_batches)) == [3], (
            "a sent batch is not returned again before it is marked"
        )
        submit(connection, MarkSent(first.event_batches))
        assert users_of(waiting(connection)) == [3]


def test_marking_an_unknown_batch_or_one_twice_changes_nothing_else(database: str) -> None:
    with closing(open_storage(database).connect()) as connection:
        set_up(connection)
        submit(connection, order(1, 1))
        found = waiting(connection)
        assert found is not None
        # An event batch that a promoted standby lacks, and one that two commands of a batch mark.
        outcomes = submit(
            connection, MarkSent((10**9,)), MarkSent(found.event_batches), MarkSent(found.event_batches), order(2, 1)
        )
        assert [outcome and outcome["userId"] for outcome in outcomes] == [None, None, None, 2]
        assert users_of(waiting(connection)) == [2]


def test_a_late_commit_is_not_skipped(postgres_database: str) -> None:
    storage = open_storage(postgres_database)
    with closing(storage.connect()) as early, closing(storage.connect()) as late:
        set_up(early)
        with late.transaction() as session:
            # It has lower ids than the next, which commits first.
            apply(session, [Submission(order(1, 1))], NOW)
            submit(early, order(2, 2))
            found = waiting(early)
            assert found is not None
            assert users_of(found) == [2]
            submit(early, MarkSent(found.event_batches))
        assert users_of(waiting(early)) == [1]


def test_sqlite_reads_events_without_scanning_the_outbox(sqlite_database: str) -> None:
    with closing(sqlite3.connect(sqlite_database.removeprefix("sqlite:///"))) as raw:
        steps = [row[3] for row in raw.execute(f"EXPLAIN QUERY PLAN {outbox._EVENTS.replace('(:ids)', '(1, 2)')}")]
    assert any(step.startswith("SEARCH outbox USING INTEGER PRIMARY KEY") for step in steps), steps
    assert not any(step.startswith("SCAN outbox") for step in steps), steps


@given(
    placed=st.builds(
        Order,
        order_id=st.integers(1, LARGEST),
        user_id=st.integers(1, LARGEST),
        status=st.just("paid"),
        items=st.lists(st.builds(OrderItem, *[st.integers(0, LARGEST)] * 4), min_size=1, max_size=3).map(tuple),
        amount=st.integers(0, LARGEST),
        discount=st.integers(0, LARGEST),
        total=st.integers(0, LARGEST),
        coupon_id=st.none() | st.integers(1, LARGEST),
        created_at=st.datetimes(timezones=st.just(UTC)),
    ),
    is_cancelled=st.booleans(),
)
def test_the_text_of_an_event_is_its_cloud_event_encoded(placed: Order, is_cancelled: bool) -> None:  # noqa: FBT001 - Hypothesis
    at = placed.created_at
    event = (
        order_cancelled(replace(placed, status="cancelled", cancelled_at=at), at)
        if is_cancelled
        else order_paid(placed, at)
    )
    encoded = msgspec.json.encode(outbox.cloud_event("0a1b2c", event)).decode()
    assert outbox.event_text("0a1b2c", event, msgspec.json.encode(at).decode()) == encoded
