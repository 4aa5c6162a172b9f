"""What the relay finds to do besides new events: those to be tried again now, and whether it was stopped."""

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
from jangteo.storage.chores import read_due, read_known, read_replayed
from tests.storage.shops import DAY, OPENED, Shop

NOW = OPENED + DAY
SECOND = timedelta(seconds=1)
PLATFORM = "file:platform.jsonl"


@pytest.fixture
def told(kept: Shop) -> Shop:
    """Four orders in one event_batch that was sent."""
    kept.order(4)
    kept.send(1)
    return kept


def reject(shop: Shop, *events: tuple[int, float | None]) -> None:
    """Each to be tried again so long from now, or set aside."""
    shop.do(
        RecordFailures(
            tuple(FailedEvent(event, event, 2, "no", next_attempt_in_s) for event, next_attempt_in_s in events)
        ),
        at=NOW,
    )


def due(shop: Shop, after_s: float = 0, limit: int = 10) -> list[int]:
    found = shop.look(read_due, PLATFORM, limit, at=NOW + after_s * SECOND)
    return sorted(trial.event for trial in found.retries)


def test_without_rejections_there_is_nothing_to_do(told: Shop) -> None:
    found = told.look(read_due, PLATFORM, 10, at=NOW)
    assert found == (False, [], None)
    assert (told.look(read_known, PLATFORM), told.look(read_replayed)) == (([], False), 0)


@pytest.mark.parametrize(("after_s", "events"), [(0, [4]), (4.999, [4]), (5, [2, 4]), (60, [1, 2, 4])])
def test_each_is_due_from_its_moment_on_and_what_is_set_aside_never(
    told: Shop, after_s: float, events: list[int]
) -> None:
    reject(told, (1, 60), (2, 5), (3, None), (4, 0))
    assert due(told, after_s) == events


def test_whatever_is_set_aside_is_due_when_an_operator_asks_for_it(told: Shop) -> None:
    reject(told, (1, 60), (3, None))
    told.do(RetryEvents((3,)), at=NOW)
    assert due(told) == [3]


def test_a_trial_is_told_with_its_order_its_tries_and_its_text(told: Shop) -> None:
    reject(told, (2, 0))
    [trial] = told.look(read_due, PLATFORM, 10, at=NOW).retries
    assert (trial.event, trial.order_id, trial.attempts) == (2, 2, 2)
    assert trial.text == told.rows("SELECT event FROM outbox WHERE id = 2")[0][0]


def test_in_trial_is_all_but_what_is_set_aside(told: Shop) -> None:
    reject(told, (1, 60), (2, 0), (3, None))
    assert sorted(told.look(read_known, PLATFORM).pending_retries) == [(1, 1), (2, 2)]


@pytest.mark.parametrize(
    ("rejected", "first"),
    [
        ([(1, 0), (5, 0)], [1]),
        ([(1, 60), (5, 0)], []),
        ([(1, None), (5, 0)], [5]),
        ([(5, 0)], [5]),
        ([(1, 0), (5, 60), (6, 0)], [1, 6]),
    ],
    ids=["the earlier of two", "not while it pauses", "but when it is set aside", "the only one", "of each order"],
)
def test_of_an_order_the_first_is_tried(told: Shop, rejected: list[tuple[int, float | None]], first: list[int]) -> None:
    told.cancel(1, 2)
    again = tuple(
        FailedEvent(event, (event - 1) % 4 + 1, 1, "no", next_attempt_in_s) for event, next_attempt_in_s in rejected
    )
    told.do(RecordFailures(again), at=NOW)
    assert due(told) == first


def test_many_that_wait_for_others_do_not_come_before_what_they_wait_for(told: Shop) -> None:
    told.cancel(1, 2, 3)
    # The cancelled ones have been due all the time: they were never tried, as the paid ones pause.
    reject(told, (1, 5), (2, 5), (3, 5))
    waits = tuple(FailedEvent(event, event - 4, 0, "waits", 0) for event in (5, 6, 7))
    told.do(RecordFailures(waits), at=NOW)
    assert due(told, 5, limit=3) == [1, 2, 3]


@pytest.mark.parametrize(
    ("said_by", "stopped", "is_stopped"),
    [(PLATFORM, True, True), (PLATFORM, False, False), ("another", True, False)],
)
def test_it_is_stopped_by_the_platform_of_its_own_name(
    told: Shop, said_by: str, *, stopped: bool, is_stopped: bool
) -> None:
    told.do(RecordPlatformStatus(said_by, "410", stopped, sent_events=0, within_s=1), at=NOW)
    assert told.look(read_due, PLATFORM, 10, at=NOW).stopped == is_stopped
    assert told.look(read_known, PLATFORM).stopped == is_stopped
    told.do(ResumePlatform(), at=NOW)
    assert not told.look(read_due, PLATFORM, 10, at=NOW).stopped


def test_the_replay_under_way_is_found(told: Shop) -> None:
    told.do(StartReplay(OPENED, NOW), at=NOW)
    assert told.look(read_due, PLATFORM, 10, at=NOW).replay == (1, OPENED, NOW, 0, 1, 0)
