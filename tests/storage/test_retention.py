"""Retention: old sent event batches are purged and counted; waiting or failed ones and the newest stay."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime
from threading import Thread

import psycopg
import pytest

from jangteo.core.entities import FailedEvent
from jangteo.core.relay import MarkSent, PurgeEvents, RecordFailures
from jangteo.engine.batch import Submission, apply
from jangteo.storage import outbox, retention
from jangteo.storage.event_queries import count_sent, read_state
from jangteo.storage.port import Row, Value
from jangteo.storage.retention import Purgeable, read_purgeable
from jangteo.storage.sqlite.connection import SqliteSnapshot
from jangteo.storage.timestamps import to_micros
from jangteo.storage.urls import open_storage
from tests.storage.shops import DAY, OPENED, Shop, order

KEPT_FOR = 7 * DAY
LONG_AGO = OPENED
NOW = OPENED + 30 * DAY


def purge(shop: Shop, at: datetime = NOW) -> None:
    """Purge everything whose retention has passed, in chunks, as the relay does."""
    after = 0
    while (chunk := shop.look(read_purgeable, after, KEPT_FOR, at=at)) is not None:
        shop.do(PurgeEvents(chunk.event_batches, KEPT_FOR.total_seconds()), at=at)
        after = chunk.looked_up_to


def purged_count(shop: Shop) -> list[tuple[int, ...]]:
    """How many events were purged so far, and the timestamp of the newest of them."""
    return shop.rows("SELECT events, until FROM purged_events")


def test_old_event_batches_are_purged_and_counted(kept: Shop) -> None:
    for size in (2, 1, 3):
        kept.order(size, at=LONG_AGO + size * DAY)
    kept.order(at=NOW)
    kept.send(1, 2, 3, at=LONG_AGO + 4 * DAY)
    purge(kept)
    assert (kept.ids("event_batches"), kept.ids("outbox")) == ([4], [7])
    assert purged_count(kept) == [(6, to_micros(LONG_AGO + 3 * DAY))]
    assert kept.wrong() == []
    state = kept.look(read_state)
    assert (state.purged, state.kept_since, state.waiting) == (6, NOW, 1)


def test_purging_nothing_changes_nothing(kept: Shop) -> None:
    purge(kept)
    kept.order(at=LONG_AGO)
    kept.send(1, at=LONG_AGO)
    purge(kept)
    kept.do(PurgeEvents((5, 9), 0), PurgeEvents((), 0), at=NOW)
    assert (kept.ids("outbox"), purged_count(kept)[0][0]) == ([1], 0)


def test_an_event_batch_purged_twice_is_counted_once(kept: Shop) -> None:
    for _ in range(4):
        kept.order(2, at=LONG_AGO)
    kept.send(1, 2, 3, 4, at=LONG_AGO)
    kept.do(PurgeEvents((1, 2), 0), PurgeEvents((1, 2), 0), at=NOW)
    assert purged_count(kept) == [(4, to_micros(LONG_AGO))]
    kept.do(PurgeEvents((2, 3), 0), at=NOW)
    assert purged_count(kept) == [(6, to_micros(LONG_AGO))]
    assert kept.wrong() == []


@pytest.mark.parametrize(
    ("sent_at", "is_purged"),
    [
        (None, False),
        (NOW, False),
        (NOW - KEPT_FOR, False),
        (NOW - KEPT_FOR - DAY, True),
    ],
)
def test_only_batches_sent_before_the_retention_are_purged(
    kept: Shop, sent_at: datetime | None, *, is_purged: bool
) -> None:
    for _ in range(4):
        kept.order(at=LONG_AGO)
    kept.send(1, 3, at=LONG_AGO)
    if sent_at is not None:
        kept.send(2, at=sent_at)
    purge(kept)
    assert kept.ids("event_batches") == ([4] if is_purged else [2, 4])
    assert purged_count(kept)[0][0] == 4 - len(kept.ids("outbox"))
    assert kept.wrong() == []


@pytest.mark.parametrize("next_attempt_in_s", [None, 5.0], ids=["dead letter", "retrying"])
def test_an_event_batch_with_a_failed_event_stays_whole(kept: Shop, next_attempt_in_s: float | None) -> None:
    kept.order(3, at=LONG_AGO)
    kept.order(at=LONG_AGO)
    kept.order(at=LONG_AGO)
    kept.send(1, 2, 3, at=LONG_AGO)
    kept.do(RecordFailures((FailedEvent(2, 2, 1, "no", next_attempt_in_s),)), at=LONG_AGO)
    purge(kept)
    assert kept.ids("outbox") == [1, 2, 3, 5]
    assert kept.wrong() == []


def test_the_newest_event_batch_stays_so_that_no_id_is_used_twice(kept: Shop) -> None:
    kept.order(2, at=LONG_AGO)
    kept.order(2, at=LONG_AGO)
    kept.send(1, 2, at=LONG_AGO)
    purge(kept)
    assert (kept.ids("event_batches"), kept.ids("outbox")) == ([2], [3, 4])
    kept.order(at=NOW)
    assert (kept.ids("event_batches"), kept.ids("outbox")) == ([2, 3], [3, 4, 5])
    purge(kept)
    assert kept.ids("outbox") == [5], "it is purged once there is a newer one"
    kept.order(at=NOW)
    assert kept.ids("outbox") == [5, 6]
    assert kept.wrong() == []


def test_the_audit_passes_with_cancelled_orders_before_and_after(kept: Shop) -> None:
    kept.order(4, at=LONG_AGO)
    kept.cancel(1, at=LONG_AGO + DAY)
    kept.order(at=LONG_AGO + 2 * DAY)
    kept.cancel(5, at=LONG_AGO + 2 * DAY)
    kept.send(1, 2, 3, 4, at=LONG_AGO + 3 * DAY)
    # One is paid before and cancelled after the purge; of another, half the events are purged.
    kept.cancel(2, at=NOW - DAY)
    kept.order(2, at=NOW)
    purge(kept)
    assert kept.ids("outbox") == [8, 9, 10]
    assert purged_count(kept) == [(7, to_micros(LONG_AGO + 2 * DAY))]
    assert kept.wrong() == []
    kept.cancel(3, 6, at=NOW + DAY)
    assert kept.wrong() == []


def test_the_audit_passes_with_a_waiting_event_batch_older_than_the_purged_ones(kept: Shop) -> None:
    kept.order(2, at=LONG_AGO)
    kept.order(2, at=LONG_AGO + DAY)
    kept.order(at=LONG_AGO + 2 * DAY)
    kept.send(2, at=LONG_AGO + 2 * DAY)
    purge(kept)
    assert kept.ids("event_batches") == [1, 3]
    waiting = kept.look(outbox.read_waiting, frozenset(), 10)
    assert waiting is not None
    assert waiting.event_batches == (1, 3)
    assert kept.wrong() == []


def test_purging_older_batches_later_does_not_move_the_timestamp_back(kept: Shop) -> None:
    for day in (0, 1, 2):
        kept.order(at=LONG_AGO + day * DAY)
    kept.send(2, at=LONG_AGO + 2 * DAY)
    purge(kept)
    kept.send(1, at=LONG_AGO + 3 * DAY)
    purge(kept)
    assert purged_count(kept) == [(2, to_micros(LONG_AGO + DAY))]
    assert kept.wrong() == []


def test_purged_events_are_not_replayed(kept: Shop) -> None:
    kept.order(2, at=LONG_AGO)
    kept.order(2, at=LONG_AGO + DAY)
    kept.send(1, 2, at=LONG_AGO + DAY)
    assert kept.look(count_sent, LONG_AGO, NOW) == 4
    purge(kept)
    assert kept.look(count_sent, LONG_AGO, NOW) == 2
    chunk = kept.look(outbox.read_sent, (LONG_AGO, NOW), 0, 99, 10)
    assert chunk is not None
    assert chunk.event_batches == (2,)


def test_event_batches_committed_late_stay_until_they_are_sent(postgres_database: str) -> None:
    with closing(Shop(postgres_database)) as early, closing(open_storage(postgres_database).connect()) as late:
        early.set_up()
        with late.transaction() as session:
            # It has lower ids than the next, which commits first.
            apply(session, [Submission(order(2)), Submission(order(2))], LONG_AGO)
            early.order(2, at=LONG_AGO + DAY)
            early.order(at=NOW)
            early.send(2, at=LONG_AGO + 2 * DAY)
            purge(early)
            assert early.ids("event_batches") == [3]
        assert (early.ids("event_batches"), early.ids("outbox")) == ([1, 3], [1, 2, 5])
        assert early.wrong() == []
        purge(early)
        early.send(1, at=LONG_AGO + 3 * DAY)
        purge(early)
        assert early.ids("outbox") == [5]
        assert purged_count(early) == [(4, to_micros(LONG_AGO + DAY))]
        assert early.wrong() == []


def test_an_event_batch_within_the_id_range_of_another_keeps_its_events(kept: Shop) -> None:
    # As two writers on PostgreSQL may leave it: ids 1 and 3 are of one event batch, 2 is of another.
    kept.order(2, at=LONG_AGO)
    kept.order(at=LONG_AGO)
    kept.order(at=NOW)
    kept.change(
        "UPDATE outbox SET id = 102 WHERE id = 3",
        "UPDATE outbox SET id = 3 WHERE id = 2",
        "UPDATE outbox SET id = 2 WHERE id = 102",
        "UPDATE event_batches SET last_event = 3 WHERE id = 1",
        "UPDATE event_batches SET first_event = 2, last_event = 2 WHERE id = 2",
    )
    assert kept.rows("SELECT id, event_batch_id FROM outbox ORDER BY id") == [(1, 1), (2, 2), (3, 1), (4, 3)]
    assert kept.wrong() == []
    kept.send(1, at=LONG_AGO)
    purge(kept)
    assert (kept.ids("event_batches"), kept.ids("outbox")) == ([2, 3], [2, 4])
    assert purged_count(kept)[0][0] == 2
    assert kept.wrong() == []


def test_purging_waits_for_a_concurrent_mark_and_counts_right(postgres_database: str) -> None:
    with (
        closing(Shop(postgres_database)) as shop,
        closing(Shop(postgres_database)) as purging,
        closing(open_storage(postgres_database).connect()) as other,
    ):
        shop.set_up()
        for _ in range(3):
            shop.order(2, at=LONG_AGO)
        shop.send(1, 2, 3, at=LONG_AGO)
        thread = Thread(target=lambda: purge(purging))
        with other.transaction() as session:
            apply(session, [Submission(MarkSent((2,)))], LONG_AGO)
            session.rows("SELECT 1")
            thread.start()
            while thread.is_alive() and not is_lock_awaited(postgres_database):
                continue
        thread.join(60)
        assert (purged_count(shop), shop.ids("outbox")) == ([(4, to_micros(LONG_AGO))], [5, 6])
        assert shop.wrong() == []


def is_lock_awaited(database: str) -> bool:
    with psycopg.connect(database) as connection:
        waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        return connection.execute(waiting).fetchone() is not None


def read(shop: Shop, after: int = 0) -> Purgeable | None:
    return shop.look(read_purgeable, after, KEPT_FOR, at=NOW)


def test_chunks_have_a_limited_number_of_events_and_whole_batches(kept: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "PURGE_CHUNK", 4)
    for size in (1, 2, 3, 1, 1, 1, 1, 1):
        kept.order(size, at=LONG_AGO)
    kept.send(*range(1, 9), at=LONG_AGO)
    assert read(kept) == Purgeable((1, 2, 3), 3)
    assert read(kept, after=3) == Purgeable((4, 5, 6, 7), 7)
    assert read(kept, after=7) is None, "the newest stays"


def test_a_chunk_ends_before_the_first_younger_batch(kept: Shop) -> None:
    for at in (LONG_AGO, LONG_AGO, NOW, LONG_AGO, NOW):
        kept.order(at=at)
    kept.send(*range(1, 6), at=LONG_AGO)
    assert read(kept) == Purgeable((1, 2), 2)
    assert read(kept, after=2) is None, "whatever comes after it"


@pytest.mark.parametrize("sent_at", [None, NOW], ids=["not sent", "sent recently"])
def test_a_chunk_without_purgeable_batches_is_skipped(kept: Shop, sent_at: datetime | None) -> None:
    kept.order(at=LONG_AGO)
    kept.order(at=LONG_AGO)
    if sent_at is not None:
        kept.send(1, at=sent_at)
    assert read(kept) == Purgeable((), 1)


def test_the_next_chunk_is_read_without_a_scan(sqlite_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    with closing(Shop(sqlite_database)) as shop:

        def explained(snapshot: SqliteSnapshot, sql: str, **values: Value) -> list[Row]:
            steps.extend(row[3] for row in snapshot._raw.execute(f"EXPLAIN QUERY PLAN {sql}", values))
            return []

        monkeypatch.setattr(SqliteSnapshot, "rows", explained)
        assert read(shop, after=5) is None
    assert any("SEARCH event_batches USING INTEGER PRIMARY KEY" in step for step in steps), steps
    assert not any(step.startswith(("SCAN", "USE TEMP B-TREE")) for step in steps), steps
