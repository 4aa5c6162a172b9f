"""What is noted of events on their way: each note has its effect, and noted twice it changes nothing more."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, NamedTuple

import pytest

from jangteo.core.book import Command
from jangteo.core.entities import FailedEvent
from jangteo.core.relay import (
    RecordDelivered,
    RecordFailures,
    RecordPlatformStatus,
    RecordReplayProgress,
    ResumePlatform,
    RetryEvents,
    StartReplay,
)
from jangteo.storage.chores import read_replay, read_replayed
from jangteo.storage.event_queries import PlatformState, read_state
from jangteo.storage.timestamps import to_micros
from tests.storage.shops import DAY, OPENED, Shop

NOW = OPENED + 10 * DAY
SECOND = timedelta(seconds=1)
AGAIN = RecordFailures((FailedEvent(1, 1, 2, "no", 5),))
ASIDE = RecordFailures((FailedEvent(2, 2, 5, "never", None), FailedEvent(3, 3, 5, "never", None)))
REPLAY = StartReplay(OPENED, NOW)
FAILED = RecordPlatformStatus("none", "refused", stopped=False, sent_events=0, within_s=2)
STOPPED = RecordPlatformStatus("none", "410", stopped=True, sent_events=0, within_s=2)
WELL = RecordPlatformStatus("none", None, stopped=False, sent_events=12, within_s=2.5)
NOTED = {
    "failed_events": "SELECT id, order_id, attempts, reason, failed_at, next_attempt_at FROM failed_events ORDER BY id",
    "replays": """
        SELECT id, since, until, done_batch, last_batch, events, started_at, finished_at FROM replays ORDER BY id
    """,
    "platforms": "SELECT name, failure, failed_at, failing_since, stopped_at, sent_events, within_us FROM platforms",
}


class Case(NamedTuple):
    """What was noted before, one note, and what is there then."""

    before: tuple[Command, ...]
    note: Command
    table: str
    rows: list[tuple[Any, ...]]


def at(seconds: float = 0) -> int:
    return to_micros(NOW + seconds * SECOND)


FIRST_REPLAY = (1, to_micros(OPENED), at(), 0, 3, 0, at(), None)
ASIDE_ROWS = [(2, 2, 5, "never", at(), None), (3, 3, 5, "never", at(), None)]
CASES = {
    "rejected, to be tried again": Case((), AGAIN, "failed_events", [(1, 1, 2, "no", at(), at(5))]),
    "set aside": Case((), ASIDE, "failed_events", ASIDE_ROWS),
    "rejected once more": Case(
        (AGAIN,), RecordFailures((FailedEvent(1, 1, 3, "still", 0),)), "failed_events", [(1, 1, 3, "still", at(), at())]
    ),
    "accepted": Case((AGAIN, ASIDE), RecordDelivered((1, 3, 999)), "failed_events", ASIDE_ROWS[:1]),
    "some to be tried again": Case(
        (ASIDE,), RetryEvents((3, 999)), "failed_events", [ASIDE_ROWS[0], (3, 3, 0, "never", at(), at())]
    ),
    "none to be tried again": Case((ASIDE,), RetryEvents(()), "failed_events", ASIDE_ROWS),
    "a replay begins": Case((), REPLAY, "replays", [FIRST_REPLAY]),
    "none begins while one is under way": Case((REPLAY,), StartReplay(NOW, NOW + DAY), "replays", [FIRST_REPLAY]),
    "a replay has come further": Case(
        (REPLAY,),
        RecordReplayProgress(1, 2, 40, finished=False),
        "replays",
        [(*FIRST_REPLAY[:3], 2, 3, 40, at(), None)],
    ),
    "a replay never goes back": Case(
        (REPLAY, RecordReplayProgress(1, 2, 40, finished=False)),
        RecordReplayProgress(1, 1, 20, finished=False),
        "replays",
        [(*FIRST_REPLAY[:3], 2, 3, 40, at(), None)],
    ),
    "a replay is finished": Case(
        (REPLAY,), RecordReplayProgress(1, 3, 60, finished=True), "replays", [(*FIRST_REPLAY[:3], 3, 3, 60, at(), at())]
    ),
    "a finished replay is not opened again": Case(
        (REPLAY, RecordReplayProgress(1, 2, 40, finished=True)),
        RecordReplayProgress(1, 3, 60, finished=False),
        "replays",
        [(*FIRST_REPLAY[:3], 2, 3, 40, at(), at())],
    ),
    "an unknown replay": Case((REPLAY,), RecordReplayProgress(2, 3, 60, finished=True), "replays", [FIRST_REPLAY]),
    "the platform is well": Case((), WELL, "platforms", [("none", None, None, None, None, 12, 2_500_000)]),
    "the platform fails": Case((), FAILED, "platforms", [("none", "refused", at(), at(), None, 0, 2_000_000)]),
    "the platform wants no more": Case((), STOPPED, "platforms", [("none", "410", at(), at(), at(), 0, 2_000_000)]),
    "the platform is asked again": Case(
        (STOPPED,), ResumePlatform(), "platforms", [("none", "410", at(), at(), None, 0, 2_000_000)]
    ),
    "a platform that nobody has told of is asked again": Case((), ResumePlatform(), "platforms", []),
}


@pytest.fixture
def told(kept: Shop) -> Shop:
    """Three orders, each in a event_batch that was sent."""
    for _ in range(3):
        kept.order()
    kept.send(1, 2, 3)
    return kept


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_note_has_its_effect_and_twice_no_other(told: Shop, case: Case) -> None:
    for note in case.before:
        told.do(note, at=NOW)
    told.do(case.note, at=NOW)
    assert told.rows(NOTED[case.table]) == case.rows
    told.do(case.note, case.note, at=NOW)
    assert told.rows(NOTED[case.table]) == case.rows
    assert told.wrong() == []


def test_every_note_but_forgetting_has_its_case() -> None:
    notes = {AGAIN, RecordDelivered(()), RetryEvents(()), REPLAY, RecordReplayProgress(1, 1, 1, finished=False), WELL}
    assert {type(case.note) for case in CASES.values()} == {type(note) for note in notes} | {ResumePlatform}


def test_notes_of_one_batch_are_taken_in_their_order(told: Shop) -> None:
    told.do(AGAIN, RecordDelivered((1,)), ASIDE, RetryEvents((2, 3)), at=NOW)
    assert [row[:3] for row in told.rows(NOTED["failed_events"])] == [(2, 2, 0), (3, 3, 0)]
    told.do(REPLAY, RecordReplayProgress(1, 3, 3, finished=True), StartReplay(OPENED, OPENED + DAY), at=NOW)
    assert told.look(read_replayed) == 0
    replay = told.look(read_replay)
    assert replay is not None
    assert (replay.replay, replay.since, replay.until, replay.last_batch) == (2, OPENED, OPENED + DAY, 3)


def test_a_replay_ends_with_the_bundles_of_its_beginning(told: Shop) -> None:
    told.do(REPLAY, at=NOW)
    told.order()
    replay = told.look(read_replay)
    assert replay is not None
    assert replay.last_batch == 3
    told.do(RecordReplayProgress(1, 3, 2, finished=True), at=NOW)
    assert (told.look(read_replay), told.look(read_replayed)) == (None, 2)


def test_a_replay_of_a_shop_without_events_can_be_finished(kept: Shop) -> None:
    kept.do(REPLAY, at=NOW)
    kept.do(RecordReplayProgress(1, 0, 0, finished=True), at=NOW)
    assert kept.look(read_replay) is None


def platform_of(shop: Shop) -> PlatformState:
    platform = shop.look(read_state).platform
    assert platform is not None
    return platform


def test_the_last_error_is_kept_and_failing_counts_from_the_first(told: Shop) -> None:
    told.do(WELL, at=NOW)
    assert (platform_of(told).last_error, platform_of(told).failing_since) == (None, None)
    told.do(FAILED, at=NOW + SECOND)
    told.do(RecordPlatformStatus("none", "timed out", stopped=False, sent_events=0, within_s=2), at=NOW + 3 * SECOND)
    failing = platform_of(told)
    assert (failing.last_error, failing.last_error_at) == ("timed out", NOW + 3 * SECOND)
    assert failing.failing_since == NOW + SECOND
    told.do(WELL, at=NOW + 5 * SECOND)
    well = platform_of(told)
    assert (well.last_error, well.last_error_at) == ("timed out", NOW + 3 * SECOND)
    assert (well.failing_since, well.reported_at) == (None, NOW + 5 * SECOND)
    assert (well.sent_events, well.within_s) == (12, 2.5)
    told.do(FAILED, at=NOW + 9 * SECOND)
    assert platform_of(told).failing_since == NOW + 9 * SECOND, "it is another time that it fails"


def test_it_has_stopped_since_it_first_said_so_until_it_is_resumed(told: Shop) -> None:
    told.do(STOPPED, at=NOW)
    told.do(STOPPED, at=NOW + DAY)
    assert platform_of(told).stopped_at == NOW
    told.do(ResumePlatform(), at=NOW + DAY)
    assert platform_of(told).stopped_at is None
    told.do(STOPPED, at=NOW + 2 * DAY)
    assert platform_of(told).stopped_at == NOW + 2 * DAY
