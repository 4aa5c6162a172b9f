"""`jangteo events replay`: which events are sent again, the progress, and Ctrl-C."""

from __future__ import annotations

import json
import signal
import subprocess
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from jangteo.cli import progress
from jangteo.cli import replay as following
from jangteo.core.relay import RecordReplayProgress, StartReplay
from jangteo.storage.event_queries import read_state
from jangteo.storage.replay import read_replay, read_replayed
from jangteo.storage.timestamps import to_micros
from tests.cli.conftest import Jangteo
from tests.serving import JANGTEO, ServedShop
from tests.storage.shops import DAY, OPENED, Shop
from tests.terminal import run_on_terminal

FROM_THE_BEGINNING = ("--since", "2026-11-01")


@pytest.fixture
def sent(kept: Shop) -> Shop:
    """Event batches of 2, 1 and 3 orders, a day apart; all were sent."""
    for day, size in enumerate((2, 1, 3)):
        kept.order(size, at=OPENED + day * DAY)
    kept.send(1, 2, 3, at=OPENED + 3 * DAY)
    return kept


def replay(shop: Shop, *options: str) -> list[str]:
    return ["events", "replay", "--database", shop.database, *options]


@pytest.mark.parametrize(
    "span",
    [
        ("--since", "2026-11-10"),
        ("--since", "2026-10-01", "--until", "2026-11-01T00:00:00Z"),
        ("--since", "2026-11-01T00:00:00.000001Z", "--until", "2026-11-02"),
    ],
)
def test_a_span_without_sent_events_starts_no_replay(sent: Shop, jangteo: Jangteo, span: tuple[str, ...]) -> None:
    result = jangteo(*replay(sent, *span))
    assert (result.code, result.out, result.err) == (0, "No sent event of that time is still kept.\n", "")
    assert sent.look(read_replay) is None


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (("--since", "2026-11-02", "--until", "2026-11-01"), "--since must be before --until"),
        (("--since", "2026-11-02", "--until", "2026-11-02T00:00Z"), "--since must be before --until"),
        (("--since", "9999-01-01"), "--since must be before --until"),
        (("--since", "2026-11-01T09:00+09:00", "--until", "2026-11-01"), "--since must be before --until"),
        (("--since", "yesterday"), "--since yesterday is not a timestamp: write it as 2026-11-24T09:30"),
        (("--since", "2026-13-01"), "--since 2026-13-01 is not a timestamp"),
        (("--since", ""), "is not a timestamp"),
        (("--since", "2026-11-01", "--until", "12:30"), "--until 12:30 is not a timestamp"),
        (("--since", "0001-01-01T00:00+14:00"), "is not a timestamp"),
        (("--since", "2026-11-01", "--until", "9999-12-31T23:00-14:00"), "is not a timestamp"),
        ((), "--since"),
    ],
)
def test_an_invalid_span_is_an_error_in_one_line(
    sent: Shop, jangteo: Jangteo, options: tuple[str, ...], error: str
) -> None:
    jangteo(*replay(sent, *options)).complains(error)
    assert sent.look(read_replay) is None


@pytest.mark.parametrize(
    ("since", "until", "start", "end", "count"),
    [
        ("2026-11-01", "2026-11-02", OPENED, OPENED + DAY, 2),
        ("2026-11-01T00:00", "2026-11-02T00:00:01Z", OPENED, OPENED + DAY + DAY / 86_400, 3),
        ("2026-11-01T09:00+09:00", "2026-11-03 09:00:00.5+09:00", OPENED, OPENED + 2 * DAY + DAY / 172_800, 6),
        ("0001-01-01", "9999-12-31", datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC), 6),
    ],
)
def test_timestamps_are_in_utc_unless_they_have_an_offset(
    sent: Shop, jangteo: Jangteo, since: str, until: str, start: datetime, end: datetime, count: int
) -> None:
    result = jangteo(*replay(sent, "--since", since, "--until", until, "--no-wait"))
    assert (result.code, result.out, result.err) == (0, f"{count} events to be sent again.\n", "")
    assert sent.rows("SELECT since, until FROM replays") == [(to_micros(start), to_micros(end))]


def test_without_until_a_replay_ends_now(sent: Shop, jangteo: Jangteo) -> None:
    before = datetime.now(UTC)
    jangteo(*replay(sent, *FROM_THE_BEGINNING, "--no-wait"))
    unfinished = sent.look(read_replay)
    assert unfinished is not None
    assert before <= unfinished.until <= datetime.now(UTC)


def test_only_one_replay_runs_at_a_time(sent: Shop, jangteo: Jangteo) -> None:
    sent.do(StartReplay(OPENED, OPENED + DAY))
    jangteo(*replay(sent, *FROM_THE_BEGINNING)).complains(
        "a replay of 2026-11-01T00:00:00Z to 2026-11-02T00:00:00Z is running: wait until it is finished"
    )
    assert len(sent.rows("SELECT id FROM replays")) == 1
    status = jangteo("events", "status", "--database", sent.database).out
    assert "replay        0 sent again so far, of 2026-11-01T00:00:00Z to 2026-11-02T00:00:00Z\n" in status


def test_without_a_terminal_the_progress_is_lines(
    sent: Shop, jangteo: Jangteo, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = iter(
        [
            RecordReplayProgress(1, 1, 2, finished=False),
            RecordReplayProgress(1, 2, 3, finished=False),
            RecordReplayProgress(1, 3, 6, finished=True),
        ]
    )
    # Stands for the relay while the command waits.
    monkeypatch.setattr(following, "sleep", lambda _: sent.do(next(steps)))
    monkeypatch.setattr(progress, "_LINE_INTERVAL_S", 0)
    result = jangteo(*replay(sent, *FROM_THE_BEGINNING))
    assert (result.code, result.err) == (0, "")
    assert result.out.splitlines() == [
        "6 events to be sent again.",
        "0 of 6 sent again",
        "2 of 6 sent again",
        "3 of 6 sent again",
        "6 events sent again.",
    ]


def test_a_progress_line_is_printed_every_few_seconds_at_most(
    sent: Shop, jangteo: Jangteo, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = iter([RecordReplayProgress(1, 1, 2, finished=False), RecordReplayProgress(1, 3, 6, finished=True)])
    monkeypatch.setattr(following, "sleep", lambda _: sent.do(next(steps)))
    monkeypatch.setattr(progress, "monotonic", lambda: 5.0)
    assert jangteo(*replay(sent, *FROM_THE_BEGINNING)).out.splitlines() == [
        "6 events to be sent again.",
        "6 events sent again.",
    ]


@pytest.fixture
def served(sent: Shop, open_shop: Callable[..., ServedShop]) -> ServedShop:
    """The shop with a running relay that purges nothing."""
    return open_shop(keep_events_days=1_000)


def subjects(shop: ServedShop) -> Counter[str]:
    """How often the platform was sent the event of each order."""
    return Counter(json.loads(line)["subject"] for line in shop.events_file.read_text().splitlines())


def test_a_relay_replays_the_span(sent: Shop, served: ServedShop, jangteo: Jangteo) -> None:
    result = jangteo(*replay(sent, "--since", "2026-11-02"))
    assert (result.code, result.out, result.err) == (0, "4 events to be sent again.\n4 events sent again.\n", "")
    assert subjects(served) == dict.fromkeys("3456", 1), "only events of the span"
    assert jangteo(*replay(sent, *FROM_THE_BEGINNING, "--until", "2026-11-02")).out.endswith("2 events sent again.\n")
    assert subjects(served) == dict.fromkeys("123456", 1)
    assert sent.look(read_state).waiting == 0


def test_on_a_terminal_the_progress_is_a_bar(sent: Shop, served: ServedShop) -> None:
    code, shown = run_on_terminal([JANGTEO, *replay(sent, *FROM_THE_BEGINNING)])
    assert code == 0, shown
    assert b"sending again" in shown
    assert b"6/6" in shown
    assert shown.rstrip().endswith(b"6 events sent again.")
    assert subjects(served) == dict.fromkeys("123456", 1)


def test_ctrl_c_ends_the_replay(sent: Shop) -> None:
    command = [JANGTEO, "events", "replay"]
    # Without a relay the command would wait forever.
    env = {"PATH": "/usr/bin:/bin", "JANGTEO_DATABASE": sent.database, "JANGTEO_SINCE": "2026-11-01"}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, bufsize=1, env=env) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "6 events to be sent again.\n"
        assert sent.look(read_replay) is not None
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == "Replay ended: the rest is not sent again.\n"
        assert process.stderr.read() == ""
    assert process.returncode == 130
    assert (sent.look(read_replay), sent.look(read_replayed)) == (None, 0)


def test_with_no_wait_the_replay_continues_by_itself(sent: Shop, served: ServedShop, jangteo: Jangteo) -> None:
    assert jangteo(*replay(sent, *FROM_THE_BEGINNING, "--no-wait")).out == "6 events to be sent again.\n"
    while sent.look(read_replay) is not None:
        continue
    assert sent.look(read_replayed) == 6
    assert subjects(served) == dict.fromkeys("123456", 1)
