"""Recorded commands: each has its effect, and recorded twice it changes nothing more."""

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
from jangteo.storage.event_queries import read_state
from jangteo.storage.platform_status import PlatformState
from jangteo.storage.replay import read_replay, read_replayed
from jangteo.storage.timestamps import to_micros
from tests.storage.shops import DAY, OPENED, Shop

NOW = OPENED + 10 * DAY
SECOND = timedelta(seconds=1)
RETRYING = RecordFailures((FailedEvent(1, 1, 2, "no", 5),))
DEAD = RecordFailures((FailedEvent(2, 2, 5, "never", None), FailedEvent(3, 3, 5, "never", None)))
REPLAY = StartReplay(OPENED, NOW)
FAILED = RecordPlatformStatus("none", "refused", stopped=False, sent_events=0, within_s=2)
STOPPED = RecordPlatformStatus("none", "410", stopped=True, sent_events=0, within_s=2)
WELL = RecordPlatformStatus("none", None, stopped=False, sent_events=12, within_s=2.5)
TABLES = {
    "failed_events": "SELECT id, order_id, attempts, reason, failed_at, next_attempt_at FROM failed_events ORDER BY id",
    "replays": """
        SELECT id, since, until, done_batch, last_batch, events, started_at, finished_at FROM replays ORDER BY id
    """,
    "platforms": "SELECT name, failure, failed_at, failing_since, stopped_at, sent_events, within_us FROM platforms",
}


class Case(NamedTuple):
    """Commands recorded before, one command, and the table's rows afterwards."""

    before: tuple[Command, ...]
    command: Command
    table: str
    rows: list[tuple[Any, ...]]


def at(seconds: float = 0) -> int:
    return to_micros(NOW + seconds * SECOND)


FIRST_REPLAY = (1, to_micros(OPENED), at(), 0, 3, 0, at(), None)
DEAD_ROWS = [(2, 2, 5, "never", at(), None), (3, 3, 5, "never", at(), None)]
CASES = {
    "a failure": Case((), RETRYING, "failed_events", [(1, 1, 2, "no", at(), at(5))]),
    "dead letters": Case((), DEAD, "failed_events", DEAD_ROWS),
    "a second failure": Case(
        (RETRYING,),
        RecordFailures((FailedEvent(1, 1, 3, "still", 0),)),
        "failed_events",
        [(1, 1, 3, "still", at(), at())],
    ),
    "delivered": Case((RETRYING, DEAD), RecordDelivered((1, 3, 999)), "failed_events", DEAD_ROWS[:1]),
    "one is retried": Case(
        (DEAD,), RetryEvents((3, 999)), "failed_events", [DEAD_ROWS[0], (3, 3, 0, "never", at(), at())]
    ),
    "none is retried": Case((DEAD,), RetryEvents(()), "failed_events", DEAD_ROWS),
    "a replay starts": Case((), REPLAY, "replays", [FIRST_REPLAY]),
    "none starts while one is unfinished": Case((REPLAY,), StartReplay(NOW, NOW + DAY), "replays", [FIRST_REPLAY]),
    "a replay progresses": Case(
        (REPLAY,),
        RecordReplayProgress(1, 2, 40, finished=False),
        "replays",
        [(*FIRST_REPLAY[:3], 2, 3, 40, at(), None)],
    ),
    "a replay never moves back": Case(
        (REPLAY, RecordReplayProgress(1, 2, 40, finished=False)),
        RecordReplayProgress(1, 1, 20, finished=False),
        "replays",
        [(*FIRST_REPLAY[:3], 2, 3, 40, at(), None)],
    ),
    "a replay is finished": Case(
        (REPLAY,), RecordReplayProgress(1, 3, 60, finished=True), "replays", [(*FIRST_REPLAY[:3], 3, 3, 60, at(), at())]
    ),
    "a finished replay stays finished": Case(
        (REPLAY, RecordReplayProgress(1, 2, 40, finished=True)),
        RecordReplayProgress(1, 3, 60, finished=False),
        "replays",
        [(*FIRST_REPLAY[:3], 2, 3, 40, at(), at())],
    ),
    "an unknown replay": Case((REPLAY,), RecordReplayProgress(2, 3, 60, finished=True), "replays", [FIRST_REPLAY]),
    "the platform works": Case((), WELL, "platforms", [("none", None, None, None, None, 12, 2_500_000)]),
    "the platform fails": Case((), FAILED, "platforms", [("none", "refused", at(), at(), None, 0, 2_000_000)]),
    "the platform is gone": Case((), STOPPED, "platforms", [("none", "410", at(), at(), at(), 0, 2_000_000)]),
    "the platform is resumed": Case(
        (STOPPED,), ResumePlatform(), "platforms", [("none", "410", at(), at(), None, 0, 2_000_000)]
    ),
    "an unknown platform is resumed": Case((), ResumePlatform(), "platforms", []),
}


@pytest.fixture
def stored(kept: Shop) -> Shop:
    """A shop with three orders, each in an event batch of its own; all were sent."""
    for _ in range(3):
        kept.order()
    kept.send(1, 2, 3)
    return kept


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_command_has_its_effect_and_repeated_no_further_one(stored: Shop, case: Case) -> None:
    for command in case.before:
        stored.do(command, at=NOW)
    stored.do(case.command, at=NOW)
    assert stored.rows(TABLES[case.table]) == case.rows
    stored.do(case.command, case.command, at=NOW)
    assert stored.rows(TABLES[case.table]) == case.rows
    assert stored.wrong() == []


def test_every_recorded_command_but_purging_has_a_case() -> None:
    commands = {
        RETRYING,
        RecordDelivered(()),
        RetryEvents(()),
        REPLAY,
        RecordReplayProgress(1, 1, 1, finished=False),
        WELL,
    }
    assert {type(case.command) for case in CASES.values()} == {type(command) for command in commands} | {ResumePlatform}


def test_recorded_commands_of_a_batch_are_written_in_order(stored: Shop) -> None:
    stored.do(RETRYING, RecordDelivered((1,)), DEAD, RetryEvents((2, 3)), at=NOW)
    assert [row[:3] for row in stored.rows(TABLES["failed_events"])] == [(2, 2, 0), (3, 3, 0)]
    stored.do(REPLAY, RecordReplayProgress(1, 3, 3, finished=True), StartReplay(OPENED, OPENED + DAY), at=NOW)
    assert stored.look(read_replayed) == 0
    replay = stored.look(read_replay)
    assert replay is not None
    assert (replay.replay_id, replay.since, replay.until, replay.last_batch) == (2, OPENED, OPENED + DAY, 3)


def test_a_replay_covers_the_event_batches_at_its_start(stored: Shop) -> None:
    stored.do(REPLAY, at=NOW)
    stored.order()
    replay = stored.look(read_replay)
    assert replay is not None
    assert replay.last_batch == 3
    stored.do(RecordReplayProgress(1, 3, 2, finished=True), at=NOW)
    assert (stored.look(read_replay), stored.look(read_replayed)) == (None, 2)


def test_a_replay_of_a_shop_without_events_can_be_finished(kept: Shop) -> None:
    kept.do(REPLAY, at=NOW)
    kept.do(RecordReplayProgress(1, 0, 0, finished=True), at=NOW)
    assert kept.look(read_replay) is None


def platform_of(shop: Shop) -> PlatformState:
    platform = shop.look(read_state).platform
    assert platform is not None
    return platform


def test_the_last_error_is_kept_and_failing_since_is_the_first(stored: Shop) -> None:
    stored.do(WELL, at=NOW)
    assert (platform_of(stored).last_error, platform_of(stored).failing_since) == (None, None)
    stored.do(FAILED, at=NOW + SECOND)
    stored.do(RecordPlatformStatus("none", "timed out", stopped=False, sent_events=0, within_s=2), at=NOW + 3 * SECOND)
    failing = platform_of(stored)
    assert (failing.last_error, failing.last_error_at) == ("timed out", NOW + 3 * SECOND)
    assert failing.failing_since == NOW + SECOND
    stored.do(WELL, at=NOW + 5 * SECOND)
    well = platform_of(stored)
    assert (well.last_error, well.last_error_at) == ("timed out", NOW + 3 * SECOND)
    assert (well.failing_since, well.reported_at) == (None, NOW + 5 * SECOND)
    assert (well.sent_events, well.within_s) == (12, 2.5)
    stored.do(FAILED, at=NOW + 9 * SECOND)
    assert platform_of(stored).failing_since == NOW + 9 * SECOND, "a new failure starts anew"


def test_stopped_at_is_the_first_stop_until_the_platform_is_resumed(stored: Shop) -> None:
    stored.do(STOPPED, at=NOW)
    stored.do(STOPPED, at=NOW + DAY)
    assert platform_of(stored).stopped_at == NOW
    stored.do(ResumePlatform(), at=NOW + DAY)
    assert platform_of(stored).stopped_at is None
    stored.do(STOPPED, at=NOW + 2 * DAY)
    assert platform_of(stored).stopped_at == NOW + 2 * DAY
