"""Maintenance work: which failed events are due, whether the relay is stopped, and the unfinished replay."""

from __future__ import annotations

from datetime import timedelta

import pytest

from jangteo.core.entities import FailedEvent
from jangteo.core.relay import (
    RecordFailures,
    RecordPlatformStatus,
    ResumePlatform,
    RetryEvents,
    StartReplay,
)
from jangteo.storage.maintenance import read_due_work
from jangteo.storage.platform_status import read_stopped
from jangteo.storage.replay import read_replayed
from jangteo.storage.retry_queue import read_pending
from tests.storage.shops import DAY, OPENED, Shop

NOW = OPENED + DAY
SECOND = timedelta(seconds=1)
PLATFORM = "file:platform.jsonl"


@pytest.fixture
def stored(kept: Shop) -> Shop:
    """A shop with four orders in one event batch, which was sent."""
    kept.order(4)
    kept.send(1)
    return kept


def fail(shop: Shop, *events: tuple[int, float | None]) -> None:
    """Record failed events, each with the seconds until its next attempt, or as a dead letter."""
    shop.do(
        RecordFailures(
            tuple(FailedEvent(event, event, 2, "no", next_attempt_in_s) for event, next_attempt_in_s in events)
        ),
        at=NOW,
    )


def due(shop: Shop, after_s: float = 0, limit: int = 10) -> list[int]:
    work = shop.look(read_due_work, PLATFORM, limit, at=NOW + after_s * SECOND)
    return sorted(retry.outbox_id for retry in work.retries)


def test_without_failures_nothing_is_due(stored: Shop) -> None:
    assert stored.look(read_due_work, PLATFORM, 10, at=NOW) == (False, [], None)
    assert (stored.look(read_pending), stored.look(read_stopped, PLATFORM)) == ([], False)
    assert stored.look(read_replayed) == 0


@pytest.mark.parametrize(("after_s", "events"), [(0, [4]), (4.999, [4]), (5, [2, 4]), (60, [1, 2, 4])])
def test_a_retry_is_due_after_its_delay_and_a_dead_letter_never(
    stored: Shop, after_s: float, events: list[int]
) -> None:
    fail(stored, (1, 60), (2, 5), (3, None), (4, 0))
    assert due(stored, after_s) == events


def test_a_dead_letter_is_due_when_an_operator_retries_it(stored: Shop) -> None:
    fail(stored, (1, 60), (3, None))
    stored.do(RetryEvents((3,)), at=NOW)
    assert due(stored) == [3]


def test_a_due_retry_has_its_order_attempts_and_text(stored: Shop) -> None:
    fail(stored, (2, 0))
    [retry] = stored.look(read_due_work, PLATFORM, 10, at=NOW).retries
    assert (retry.outbox_id, retry.order_id, retry.attempts) == (2, 2, 2)
    assert retry.text == stored.rows("SELECT event FROM outbox WHERE id = 2")[0][0]


def test_pending_are_all_failed_events_but_dead_letters(stored: Shop) -> None:
    fail(stored, (1, 60), (2, 0), (3, None))
    assert sorted(stored.look(read_pending)) == [(1, 1), (2, 2)]


@pytest.mark.parametrize(
    ("failures", "due_ids"),
    [
        ([(1, 0), (5, 0)], [1]),
        ([(1, 60), (5, 0)], []),
        ([(1, None), (5, 0)], [5]),
        ([(5, 0)], [5]),
        ([(1, 0), (5, 60), (6, 0)], [1, 6]),
    ],
    ids=[
        "the earlier of two",
        "the earlier is not due",
        "the earlier is a dead letter",
        "the only one",
        "one of each order",
    ],
)
def test_only_the_earliest_pending_event_of_an_order_is_due(
    stored: Shop, failures: list[tuple[int, float | None]], due_ids: list[int]
) -> None:
    stored.cancel(1, 2)
    events = tuple(
        FailedEvent(event, (event - 1) % 4 + 1, 1, "no", next_attempt_in_s) for event, next_attempt_in_s in failures
    )
    stored.do(RecordFailures(events), at=NOW)
    assert due(stored) == due_ids


def test_blocked_events_do_not_crowd_out_those_that_block_them(stored: Shop) -> None:
    stored.cancel(1, 2, 3)
    # The cancelled events have been due longer, since they were never sent; the limit must not go to them.
    fail(stored, (1, 5), (2, 5), (3, 5))
    blocked = tuple(FailedEvent(event, event - 4, 0, "waits", 0) for event in (5, 6, 7))
    stored.do(RecordFailures(blocked), at=NOW)
    assert due(stored, 5, limit=3) == [1, 2, 3]


@pytest.mark.parametrize(
    ("reported_for", "stopped", "is_stopped"),
    [(PLATFORM, True, True), (PLATFORM, False, False), ("another", True, False)],
)
def test_only_a_stop_by_the_platform_of_the_same_name_counts(
    stored: Shop, reported_for: str, *, stopped: bool, is_stopped: bool
) -> None:
    stored.do(RecordPlatformStatus(reported_for, "410", stopped, sent_events=0, within_s=1), at=NOW)
    assert stored.look(read_due_work, PLATFORM, 10, at=NOW).stopped == is_stopped
    assert stored.look(read_stopped, PLATFORM) == is_stopped
    stored.do(ResumePlatform(), at=NOW)
    assert not stored.look(read_due_work, PLATFORM, 10, at=NOW).stopped


def test_the_unfinished_replay_is_returned(stored: Shop) -> None:
    stored.do(StartReplay(OPENED, NOW), at=NOW)
    assert stored.look(read_due_work, PLATFORM, 10, at=NOW).replay == (1, OPENED, NOW, 0, 1, 0)
