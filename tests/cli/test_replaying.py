"""`jangteo events replay`: which events are sent again, how far it is, and that Ctrl-C ends it."""

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
from jangteo.storage.chores import read_replay, read_replayed
from jangteo.storage.event_queries import read_state
from jangteo.storage.timestamps import to_micros
from tests.cli.conftest import Jangteo
from tests.serving import JANGTEO, ServedShop
from tests.storage.shops import DAY, OPENED, Shop
from tests.terminal import run_on_terminal

FROM_THE_BEGINNING = ("--since", "2026-11-01")


@pytest.fixture
def sent(kept: Shop) -> Shop:
    """EventBatches of 2, 1 and 3 orders, a day apart, that were all sent."""
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
def test_where_nothing_was_sent_there_is_nothing_to_do(sent: Shop, jangteo: Jangteo, span: tuple[str, ...]) -> None:
    told = jangteo(*replay(sent, *span))
    assert (told.code, told.out, told.err) == (0, "No event of that time was sent and is still kept.\n", "")
    assert sent.look(read_replay) is None


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--since", "2026-11-02", "--until", "2026-11-01"), "--since must be before --until"),
        (("--since", "2026-11-02", "--until", "2026-11-02T00:00Z"), "--since must be before --until"),
        (("--since", "9999-01-01"), "--since must be before --until"),
        (("--since", "2026-11-01T09:00+09:00", "--until", "2026-11-01"), "--since must be before --until"),
        (("--since", "yesterday"), "--since yesterday is no moment: write it as 2026-11-24T09:30"),
        (("--since", "2026-13-01"), "--since 2026-13-01 is no moment"),
        (("--since", ""), "is no moment"),
        (("--since", "2026-11-01", "--until", "12:30"), "--until 12:30 is no moment"),
        (("--since", "0001-01-01T00:00+14:00"), "is no moment"),
        (("--since", "2026-11-01", "--until", "9999-12-31T23:00-14:00"), "is no moment"),
        ((), "--since"),
    ],
)
def test_what_is_no_span_of_time_is_one_clear_line(
    sent: Shop, jangteo: Jangteo, options: tuple[str, ...], says: str
) -> None:
    jangteo(*replay(sent, *options)).complains(says)
    assert sent.look(read_replay) is None


@pytest.mark.parametrize(
    ("since", "until", "begins", "ends", "count"),
    [
        ("2026-11-01", "2026-11-02", OPENED, OPENED + DAY, 2),
        ("2026-11-01T00:00", "2026-11-02T00:00:01Z", OPENED, OPENED + DAY + DAY / 86_400, 3),
        ("2026-11-01T09:00+09:00", "2026-11-03 09:00:00.5+09:00", OPENED, OPENED + 2 * DAY + DAY / 172_800, 6),
        ("0001-01-01", "9999-12-31", datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC), 6),
    ],
)
def test_moments_are_in_utc_unless_they_say_otherwise(
    sent: Shop, jangteo: Jangteo, since: str, until: str, begins: datetime, ends: datetime, count: int
) -> None:
    told = jangteo(*replay(sent, "--since", since, "--until", until, "--no-wait"))
    assert (told.code, told.out, told.err) == (0, f"{count} events to be sent again.\n", "")
    assert sent.rows("SELECT since, until FROM replays") == [(to_micros(begins), to_micros(ends))]


def test_without_an_end_it_is_up_to_now(sent: Shop, jangteo: Jangteo) -> None:
    before = datetime.now(UTC)
    jangteo(*replay(sent, *FROM_THE_BEGINNING, "--no-wait"))
    under_way = sent.look(read_replay)
    assert under_way is not None
    assert before <= under_way.until <= datetime.now(UTC)


def test_there_is_one_at_a_time(sent: Shop, jangteo: Jangteo) -> None:
    sent.do(StartReplay(OPENED, OPENED + DAY))
    jangteo(*replay(sent, *FROM_THE_BEGINNING)).complains(
        "a replay is under way, of 2026-11-01T00:00:00Z to 2026-11-02T00:00:00Z: one after the other"
    )
    assert len(sent.rows("SELECT id FROM replays")) == 1
    status = jangteo("events", "status", "--database", sent.database).out
    assert "replay        0 sent again so far, of 2026-11-01T00:00:00Z to 2026-11-02T00:00:00Z\n" in status


def test_elsewhere_than_on_a_terminal_it_tells_lines(
    sent: Shop, jangteo: Jangteo, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = iter(
        [
            RecordReplayProgress(1, 1, 2, finished=False),
            RecordReplayProgress(1, 2, 3, finished=False),
            RecordReplayProgress(1, 3, 6, finished=True),
        ]
    )
    # What a relay would do while the command waits.
    monkeypatch.setattr(following, "sleep", lambda _: sent.do(next(notes)))
    monkeypatch.setattr(progress, "_LINE_INTERVAL_S", 0)
    told = jangteo(*replay(sent, *FROM_THE_BEGINNING))
    assert (told.code, told.err) == (0, "")
    assert told.out.splitlines() == [
        "6 events to be sent again.",
        "0 of 6 sent again",
        "2 of 6 sent again",
        "3 of 6 sent again",
        "6 events sent again.",
    ]


def test_a_line_is_not_told_more_often_than_every_few_seconds(
    sent: Shop, jangteo: Jangteo, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = iter([RecordReplayProgress(1, 1, 2, finished=False), RecordReplayProgress(1, 3, 6, finished=True)])
    monkeypatch.setattr(following, "sleep", lambda _: sent.do(next(notes)))
    monkeypatch.setattr(progress, "monotonic", lambda: 5.0)
    assert jangteo(*replay(sent, *FROM_THE_BEGINNING)).out.splitlines() == [
        "6 events to be sent again.",
        "6 events sent again.",
    ]


@pytest.fixture
def served(sent: Shop, open_shop: Callable[..., ServedShop]) -> ServedShop:
    """The shop with a relay at work, that forgets nothing meanwhile."""
    return open_shop(keep_events_days=1_000)


def subjects(shop: ServedShop) -> Counter[str]:
    """How often the platform was sent the event of each order."""
    return Counter(json.loads(line)["subject"] for line in shop.events_file.read_text().splitlines())


def test_a_relay_sends_them_again(sent: Shop, served: ServedShop, jangteo: Jangteo) -> None:
    told = jangteo(*replay(sent, "--since", "2026-11-02"))
    assert (told.code, told.out, told.err) == (0, "4 events to be sent again.\n4 events sent again.\n", "")
    assert subjects(served) == dict.fromkeys("3456", 1), "those of the span, and no others"
    assert jangteo(*replay(sent, *FROM_THE_BEGINNING, "--until", "2026-11-02")).out.endswith("2 events sent again.\n")
    assert subjects(served) == dict.fromkeys("123456", 1)
    assert sent.look(read_state).waiting == 0


def test_on_a_terminal_it_shows_a_bar(sent: Shop, served: ServedShop) -> None:
    code, shown = run_on_terminal([JANGTEO, *replay(sent, *FROM_THE_BEGINNING)])
    assert code == 0, shown
    assert b"sending again" in shown
    assert b"6/6" in shown
    assert shown.rstrip().endswith(b"6 events sent again.")
    assert subjects(served) == dict.fromkeys("123456", 1)


def test_ctrl_c_ends_it(sent: Shop) -> None:
    command = [JANGTEO, "events", "replay"]
    # There is no relay: it would wait for ever.
    env = {"PATH": "/usr/bin:/bin", "JANGTEO_DATABASE": sent.database, "JANGTEO_SINCE": "2026-11-01"}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, bufsize=1, env=env) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "6 events to be sent again.\n"
        assert sent.look(read_replay) is not None
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == "Ended: the rest is not sent again.\n"
        assert process.stderr.read() == ""
    assert process.returncode == 130
    assert (sent.look(read_replay), sent.look(read_replayed)) == (None, 0)


def test_after_no_wait_it_goes_on_by_itself(sent: Shop, served: ServedShop, jangteo: Jangteo) -> None:
    assert jangteo(*replay(sent, *FROM_THE_BEGINNING, "--no-wait")).out == "6 events to be sent again.\n"
    while sent.look(read_replay) is not None:
        continue
    assert sent.look(read_replayed) == 6
    assert subjects(served) == dict.fromkeys("123456", 1)
