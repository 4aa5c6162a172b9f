"""Events as operators look at them: all, those that wait or were rejected, those of an order, and the counts."""

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
def told(kept: Shop) -> Shop:
    """EventBatches of 2, 1 and 3 orders, a day apart; the first two were sent, of them 1 is set aside, 3 in trial."""
    for day, size in enumerate((2, 1, 3)):
        kept.order(size, at=OPENED + day * DAY)
    kept.send(1, 2, at=OPENED + 3 * DAY)
    kept.do(RecordFailures((FailedEvent(1, 1, 5, "never", None), FailedEvent(3, 3, 1, "not yet", 60))), at=NOW)
    return kept


def places(events: list[KeptEvent]) -> list[int]:
    return [event.place for event in events]


@pytest.mark.parametrize(
    ("read", "pages"),
    [
        (read_events, [[6, 5], [4, 3], [2, 1], []]),
        (read_waiting_events, [[6, 5], [4], []]),
        (read_failed_events, [[3, 1], []]),
    ],
    ids=["all", "waiting", "rejected"],
)
def test_a_list_goes_on_page_by_page_the_newest_first(told: Shop, read: Read, pages: list[list[int]]) -> None:
    before = None
    for page in pages:
        found = places(told.look(read, before, 2))
        assert found == page
        before = found[-1] if found else None


def test_an_event_is_told_with_what_has_become_of_it(told: Shop) -> None:
    found = told.look(read_events, None, 10)
    waiting, _, _, pending_retries, sent, aside = found
    text: dict[int, str] = dict(told.rows("SELECT id, event FROM outbox"))
    sent_at = OPENED + 3 * DAY
    assert waiting == (6, text[6], OPENED + 2 * DAY, None, None, None, None)
    assert pending_retries == (3, text[3], OPENED + DAY, sent_at, 1, "not yet", NOW + 60 * SECOND)
    assert sent == (2, text[2], OPENED, sent_at, None, None, None)
    assert aside == (1, text[1], OPENED, sent_at, 5, "never", None)
    assert [event.place for event in found if event.is_dead_letter] == [1]


def test_the_state_counts_all_of_it(told: Shop) -> None:
    state = told.look(read_state, at=NOW)
    assert (state.at, state.waiting, state.oldest_waiting_since) == (NOW, 3, OPENED + 2 * DAY)
    assert (state.to_be_retried, state.dead_letters) == (1, 1)
    assert (state.kept_since, state.purged, state.platform) == (OPENED, 0, None)


def test_the_state_of_a_shop_without_events(kept: Shop) -> None:
    state = kept.look(read_state)
    assert (state.waiting, state.oldest_waiting_since, state.kept_since) == (0, None, None)
    assert (state.to_be_retried, state.dead_letters, state.purged) == (0, 0, 0)


def facts(shop: Shop, order_id: int) -> list[tuple[int, str]]:
    """An order's events: their places, and what they say."""
    found = shop.look(read_events_of, order_id)
    return [(event.place, event.text.partition('"type":"jangteo.order.')[2].partition('"')[0]) for event in found]


def test_the_events_of_an_order_are_found_the_newest_first(told: Shop) -> None:
    assert facts(told, 2) == [(2, "paid")], "not its neighbour's of the same moment"
    told.cancel(2, 4, at=NOW)
    assert facts(told, 2) == [(7, "cancelled"), (2, "paid")]
    assert facts(told, 4) == [(8, "cancelled"), (4, "paid")]
    assert facts(told, 99) == []


def test_an_order_that_was_cancelled_in_the_batch_of_its_payment_has_both(kept: Shop) -> None:
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
    ids=["all", "the end is not in it", "the beginning is", "before", "what waits is not counted"],
)
def test_what_was_sent_and_not_rejected_is_counted_and_sent_again(
    told: Shop, since: datetime, until: datetime, count: int
) -> None:
    assert told.look(count_sent, since, until) == count
    found, after = 0, 0
    while (some := told.look(read_sent, (since, until), after, 99, 1)) is not None:
        sent = told.look(read_outbox_ids_of_sent, some.event_batches)
        assert len(some.lines.splitlines()) == len(sent)
        found += len(sent)
        after = some.event_batches[-1]
    assert found == count


def test_what_was_sent_comes_in_whole_bundles_up_to_the_last(kept: Shop) -> None:
    for size in (2, 1, 3, 1):
        kept.order(size)
    kept.send(1, 2, 3, 4)
    taken = []
    after = 0
    while (some := kept.look(read_sent, (OPENED, NOW), after, 3, 2)) is not None:
        taken.append((some.event_batches, len(some.lines.splitlines())))
        after = some.event_batches[-1]
    assert taken == [((1,), 2), ((2,), 1), ((3,), 3)]


def test_the_places_of_a_bundle_are_those_of_its_lines(told: Shop) -> None:
    assert told.look(read_outbox_ids, (1, 2, 3)) == [1, 2, 3, 4, 5, 6]
    assert told.look(read_outbox_ids, (2,)) == [3]
    assert told.look(read_outbox_ids_of_sent, (1, 2)) == [2]
    assert told.look(read_outbox_ids_of_sent, (2,)) == []


@pytest.mark.parametrize(
    ("read", "arguments"),
    [
        (read_events, (9, 20)),
        (read_waiting_events, (9, 20)),
        (read_failed_events, (9, 20)),
        (read_events_of, (1,)),
    ],
)
def test_no_list_looks_through_the_outbox(
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
