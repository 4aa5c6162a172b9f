"""What operators see of events: lists of all, waiting and failed ones, those of an order, and counts."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta

import pytest

from jangteo.core.entities import FailedEvent
from jangteo.core.orders import CancelOrder
from jangteo.core.relay import RecordFailures
from jangteo.storage.event_queries import (
    KeptEvent,
    count_sent,
    read_events,
    read_events_of,
    read_failed_events,
    read_state,
    read_waiting_events,
)
from jangteo.storage.outbox import read_outbox_ids, read_outbox_ids_of_sent, read_sent
from jangteo.storage.port import Row, Snapshot, Value
from jangteo.storage.sqlite.connection import SqliteSnapshot
from tests.storage.shops import DAY, OPENED, Shop, order

NOW = OPENED + 10 * DAY
SECOND = timedelta(seconds=1)
Read = Callable[[Snapshot, int | None, int], list[KeptEvent]]


@pytest.fixture
def stored(kept: Shop) -> Shop:
    """Event batches of 2, 1 and 3 orders, a day apart. Two were sent; event 1 is a dead letter, 3 is retrying."""
    for day, size in enumerate((2, 1, 3)):
        kept.order(size, at=OPENED + day * DAY)
    kept.send(1, 2, at=OPENED + 3 * DAY)
    kept.do(RecordFailures((FailedEvent(1, 1, 5, "never", None), FailedEvent(3, 3, 1, "not yet", 60))), at=NOW)
    return kept


def outbox_ids(events: list[KeptEvent]) -> list[int]:
    return [event.outbox_id for event in events]


@pytest.mark.parametrize(
    ("read", "pages"),
    [
        (read_events, [[6, 5], [4, 3], [2, 1], []]),
        (read_waiting_events, [[6, 5], [4], []]),
        (read_failed_events, [[3, 1], []]),
    ],
    ids=["all", "waiting", "failed"],
)
def test_lists_continue_page_by_page_newest_first(stored: Shop, read: Read, pages: list[list[int]]) -> None:
    before = None
    for page in pages:
        found = outbox_ids(stored.look(read, before, 2))
        assert found == page
        before = found[-1] if found else None


def test_an_event_is_listed_with_its_delivery_status(stored: Shop) -> None:
    found = stored.look(read_events, None, 10)
    waiting, _, _, retrying, sent, dead_letter = found
    text: dict[int, str] = dict(stored.rows("SELECT id, event FROM outbox"))
    sent_at = OPENED + 3 * DAY
    assert waiting == (6, text[6], OPENED + 2 * DAY, None, None, None, None)
    assert retrying == (3, text[3], OPENED + DAY, sent_at, 1, "not yet", NOW + 60 * SECOND)
    assert sent == (2, text[2], OPENED, sent_at, None, None, None)
    assert dead_letter == (1, text[1], OPENED, sent_at, 5, "never", None)
    assert [event.outbox_id for event in found if event.is_dead_letter] == [1]


def test_the_state_counts_waiting_retrying_and_dead_events(stored: Shop) -> None:
    state = stored.look(read_state, at=NOW)
    assert (state.at, state.waiting, state.oldest_waiting_since) == (NOW, 3, OPENED + 2 * DAY)
    assert (state.retrying, state.dead_letters) == (1, 1)
    assert (state.kept_since, state.purged, state.platform) == (OPENED, 0, None)


def test_the_state_of_a_shop_without_events(kept: Shop) -> None:
    state = kept.look(read_state)
    assert (state.waiting, state.oldest_waiting_since, state.kept_since) == (0, None, None)
    assert (state.retrying, state.dead_letters, state.purged) == (0, 0, 0)


def facts(shop: Shop, order_id: int) -> list[tuple[int, str]]:
    """The outbox ids and kinds of an order's events."""
    found = shop.look(read_events_of, order_id)
    return [(event.outbox_id, event.text.partition('"type":"jangteo.order.')[2].partition('"')[0]) for event in found]


def test_the_events_of_an_order_are_listed_newest_first(stored: Shop) -> None:
    assert facts(stored, 2) == [(2, "paid")], "not the other order's of the same timestamp"
    stored.cancel(2, 4, at=NOW)
    assert facts(stored, 2) == [(7, "cancelled"), (2, "paid")]
    assert facts(stored, 4) == [(8, "cancelled"), (4, "paid")]
    assert facts(stored, 99) == []


def test_an_order_paid_and_cancelled_in_one_batch_has_both_events(kept: Shop) -> None:
    kept.do(order(), CancelOrder(1), order())
    assert kept.ids("event_batches") == [1]
    assert facts(kept, 1) == [(2, "cancelled"), (1, "paid")]
    assert facts(kept, 2) == [(3, "paid")]


@pytest.mark.parametrize(
    ("since", "until", "count"),
    [
        (OPENED, NOW, 2 - 1),
        (OPENED, OPENED + DAY, 1),
        (OPENED + timedelta(microseconds=1), NOW, 0),
        (OPENED - DAY, OPENED, 0),
        (OPENED + 2 * DAY, NOW, 0),
    ],
    ids=["all", "the end is excluded", "the start is included", "before", "waiting events are not counted"],
)
def test_a_replay_covers_exactly_the_counted_events(stored: Shop, since: datetime, until: datetime, count: int) -> None:
    assert stored.look(count_sent, since, until) == count
    found, after = 0, 0
    while (batches := stored.look(read_sent, (since, until), after, 99, 1)) is not None:
        sent = stored.look(read_outbox_ids_of_sent, batches.event_batches)
        assert len(batches.lines.splitlines()) == len(sent)
        found += len(sent)
        after = batches.event_batches[-1]
    assert found == count


def test_sent_events_are_read_in_whole_batches_up_to_the_last(kept: Shop) -> None:
    for size in (2, 1, 3, 1):
        kept.order(size)
    kept.send(1, 2, 3, 4)
    read = []
    after = 0
    while (batches := kept.look(read_sent, (OPENED, NOW), after, 3, 2)) is not None:
        read.append((batches.event_batches, len(batches.lines.splitlines())))
        after = batches.event_batches[-1]
    assert read == [((1,), 2), ((2,), 1), ((3,), 3)]


def test_the_outbox_ids_of_a_batch_match_its_lines(stored: Shop) -> None:
    assert stored.look(read_outbox_ids, (1, 2, 3)) == [1, 2, 3, 4, 5, 6]
    assert stored.look(read_outbox_ids, (2,)) == [3]
    assert stored.look(read_outbox_ids_of_sent, (1, 2)) == [2]
    assert stored.look(read_outbox_ids_of_sent, (2,)) == []


@pytest.mark.parametrize(
    ("read", "arguments"),
    [
        (read_events, (9, 20)),
        (read_waiting_events, (9, 20)),
        (read_failed_events, (9, 20)),
        (read_events_of, (1,)),
    ],
)
def test_no_list_scans_the_outbox(
    sqlite_database: str, monkeypatch: pytest.MonkeyPatch, read: Callable[..., list[KeptEvent]], arguments: tuple[int]
) -> None:
    steps: list[str] = []

    def explained(snapshot: SqliteSnapshot, sql: str, **values: Value) -> list[Row]:
        steps.extend(row[3] for row in snapshot._raw.execute(f"EXPLAIN QUERY PLAN {sql}", values))
        return []

    monkeypatch.setattr(SqliteSnapshot, "rows", explained)
    with closing(Shop(sqlite_database)) as shop:
        assert shop.look(read, *arguments) == []
    assert any(step.startswith("SEARCH outbox USING INTEGER PRIMARY KEY") for step in steps), steps
    assert not any(step.startswith("SCAN outbox") for step in steps), steps
