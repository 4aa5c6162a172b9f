"""`jangteo events`: the status, lists, single events, retries and resuming."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from jangteo.core.entities import FailedEvent
from jangteo.core.relay import PurgeEvents, RecordFailures, RecordPlatformStatus
from jangteo.storage.event_queries import read_state
from tests.cli.conftest import Jangteo
from tests.serving import ServedShop
from tests.storage.shops import DAY, OPENED, Shop

SECOND = timedelta(seconds=1)


@pytest.fixture
def stored(kept: Shop) -> Shop:
    """Event batches of 2, 1 and 3 orders, a day apart. Two were sent; event 1 is a dead letter, 3 is retrying."""
    for day, size in enumerate((2, 1, 3)):
        kept.order(size, at=OPENED + day * DAY)
    kept.send(1, 2, at=OPENED + 3 * DAY)
    rejected = (FailedEvent(1, 1, 5, "HTTP 422: no such user", None), FailedEvent(3, 3, 1, "HTTP 400", 60))
    kept.do(RecordFailures(rejected), at=OPENED + 3 * DAY)
    return kept


def name_of(shop: Shop) -> str:
    ((name,),) = shop.rows("SELECT name FROM shops")
    return str(name)


def test_status_before_any_relay_has_run(kept: Shop, jangteo: Jangteo) -> None:
    status = jangteo("events", "status", "--database", kept.database)
    assert (status.code, status.err) == (0, "")
    assert status.out.splitlines() == [
        "waiting       0",
        "retrying      0",
        "dead letters  0",
        "kept          0 purged",
        "platform      no relay has run yet",
    ]
    state = json.loads(jangteo("events", "status", "--json", "--database", kept.database).out)
    assert (state["platform"], state["oldestWaitingSince"], state["keptSince"]) == (None, None, None)


def test_status_counts_waiting_retrying_and_dead_events(stored: Shop, jangteo: Jangteo) -> None:
    stored.do(PurgeEvents((1, 2), 0), at=OPENED + 9 * DAY)
    lines = jangteo("events", "status", "--database", stored.database).out.splitlines()
    assert lines[0].startswith("waiting       3, the oldest for ")
    assert lines[1:4] == [
        "retrying      1",
        "dead letters  1 (jangteo events list --dead-letters)",
        "kept          since 2026-11-01T00:00:00Z, 0 purged",
    ]
    state = json.loads(jangteo("events", "status", "--json", "--database", stored.database).out)
    at, platform = datetime.fromisoformat(state.pop("at")), state.pop("platform")
    assert abs(at - datetime.now(UTC)) < timedelta(minutes=5)
    assert platform is None
    assert state == {
        "waiting": 3,
        "oldestWaitingSince": "2026-11-03T00:00:00Z",
        "retrying": 1,
        "deadLetters": 1,
        "keptSince": "2026-11-01T00:00:00Z",
        "purged": 0,
        "replay": None,
    }


def test_status_counts_purged_events(kept: Shop, jangteo: Jangteo) -> None:
    kept.order(3, at=OPENED)
    kept.order(at=OPENED + DAY)
    kept.send(1, at=OPENED)
    kept.do(PurgeEvents((1,), 0), at=OPENED + DAY)
    status = jangteo("events", "status", "--database", kept.database).out
    assert "kept          since 2026-11-02T00:00:00Z, 3 purged\n" in status


def report(failure: str | None, *, stopped: bool = False) -> RecordPlatformStatus:
    return RecordPlatformStatus("file:platform.jsonl", failure, stopped, sent_events=3_000, within_s=2)


FAILED_AT = OPENED + 5 * DAY


@pytest.mark.parametrize(
    ("reports", "shown", "not_shown"),
    [
        pytest.param([report(None)], ["file:platform.jsonl"], ["FAILING", "STOPPED", "last error"], id="working"),
        pytest.param(
            [report("HTTP 503")],
            ["FAILING       since 2026-11-06T00:00:00Z", "last error    2026-11-06T00:00:00Z: HTTP 503"],
            ["STOPPED"],
            id="failing",
        ),
        pytest.param(
            [report("HTTP 503"), report(None)],
            ["last error    2026-11-06T00:00:00Z: HTTP 503"],
            ["FAILING", "STOPPED"],
            id="working again",
        ),
        pytest.param(
            [report("HTTP 410", stopped=True)],
            ["STOPPED       since 2026-11-06T00:00:00Z: jangteo events resume", "HTTP 410"],
            ["FAILING"],
            id="stopped",
        ),
    ],
)
def test_status_shows_the_platforms_state(
    kept: Shop, jangteo: Jangteo, reports: list[RecordPlatformStatus], shown: list[str], not_shown: list[str]
) -> None:
    for each in reports:
        kept.do(each, at=FAILED_AT)
    printed = jangteo("events", "status", "--database", kept.database).out
    assert [part for part in shown if part not in printed] == []
    assert [part for part in not_shown if part in printed] == []
    assert "rate          0 events/s" in printed, "an old report is no rate"
    state = json.loads(jangteo("events", "status", "--json", "--database", kept.database).out)["platform"]
    assert (state["failingSince"] is not None) == (reports[-1].failure is not None)
    assert (state["stoppedAt"] is not None) == reports[-1].stopped
    assert (state["lastError"] is None) == (reports[0].failure is None)
    assert (state["name"], state["sentEvents"], state["withinS"]) == ("file:platform.jsonl", 3_000, 2.0)


def test_status_shows_the_current_rate(kept: Shop, jangteo: Jangteo) -> None:
    kept.do(report(None), at=datetime.now(UTC))
    assert "rate          1,500 events/s\n" in jangteo("events", "status", "--database", kept.database).out


LISTS: list[tuple[list[str], list[int], bool]] = [
    ([], [6, 5, 4, 3, 2, 1], False),
    (["--limit", "2"], [6, 5], True),
    (["--limit", "2", "--before", "5"], [4, 3], True),
    (["--limit", "2", "--before", "3"], [2, 1], False),
    (["--before", "1"], [], False),
    (["--waiting"], [6, 5, 4], False),
    (["--waiting", "--limit", "2"], [6, 5], True),
    (["--waiting", "--before", "5"], [4], False),
    (["--dead-letters"], [3, 1], False),
    (["--dead-letters", "--limit", "1"], [3], True),
    (["--dead-letters", "--before", "3"], [1], False),
]


@pytest.mark.parametrize(("options", "outbox_ids", "more"), LISTS)
def test_events_are_listed_newest_first(
    stored: Shop, jangteo: Jangteo, options: list[str], outbox_ids: list[int], *, more: bool
) -> None:
    listed = jangteo("events", "list", "--database", stored.database, *options)
    assert (listed.code, listed.err) == (0, "")
    lines = listed.out.splitlines()
    if more:
        assert lines.pop() == f"More: --before {outbox_ids[-1]}"
    assert [int(line.split()[0]) for line in lines] == outbox_ids


def test_a_line_shows_the_delivery_status(stored: Shop, jangteo: Jangteo) -> None:
    lines = jangteo("events", "list", "--database", stored.database).out.splitlines()
    name = name_of(stored)
    assert [" ".join(line.split()) for line in lines[2:]] == [
        f"4 2026-11-03T00:00:00Z {name}-order-4-paid waiting",
        f"3 2026-11-02T00:00:00Z {name}-order-3-paid retrying at 2026-11-04T00:01:00Z: HTTP 400",
        f"2 2026-11-01T00:00:00Z {name}-order-2-paid sent at 2026-11-04T00:00:00Z",
        f"1 2026-11-01T00:00:00Z {name}-order-1-paid dead letter after 5 attempts: HTTP 422: no such user",
    ]


@pytest.mark.parametrize("with_name", [False, True])
def test_an_event_is_found_with_and_without_the_shops_name(stored: Shop, jangteo: Jangteo, *, with_name: bool) -> None:
    stored.cancel(2, at=OPENED + 4 * DAY)
    prefix = f"{name_of(stored)}-" if with_name else ""
    for kind, outbox_id, status in (("paid", 2, "# sent at 2026-11-04T00:00:00Z"), ("cancelled", 7, "# waiting")):
        shown = jangteo("events", "show", f"{prefix}order-2-{kind}", "--database", stored.database)
        first, _, event = shown.out.partition("\n")
        assert (shown.code, shown.err, first) == (0, "", status)
        assert json.loads(event) == json.loads(stored.rows(f"SELECT event FROM outbox WHERE id = {outbox_id}")[0][0])


UNKNOWN = {
    "order-99-paid": "there is no event order-99-paid",
    "order-1-cancelled": "there is no event order-1-cancelled",
    "order-01-paid": "there is no event",
    "abcdef-order-1-paid": "there is no event abcdef-order-1-paid",
    "order-9999999999999999-paid": "there is no event",
    "order-99999999999999999-paid": "is not an event's id: they look like order-236-paid",
    "order-1": "is not an event's id",
    "1": "is not an event's id",
    "order--1-paid": "is not an event's id",
    "order-1-paid\n": "is not an event's id",
    "": "is not an event's id",
}


@pytest.mark.parametrize("event", UNKNOWN)
def test_an_unknown_event_is_an_error_in_one_line(stored: Shop, jangteo: Jangteo, event: str) -> None:
    jangteo("events", "show", event, "--database", stored.database).complains(UNKNOWN[event])
    jangteo("events", "retry", "order-1-paid", event, "--database", stored.database).complains(UNKNOWN[event])
    assert stored.look(read_state).dead_letters == 1, "no event is retried if one is unknown"


@pytest.mark.parametrize(
    ("arguments", "output", "retrying"),
    [
        (["order-1-paid"], "1 to be retried", 2),
        (["order-3-paid", "order-1-paid"], "2 to be retried", 2),
        (["--dead-letters"], "1 to be retried", 2),
    ],
)
def test_failed_events_are_retried(
    stored: Shop, jangteo: Jangteo, arguments: list[str], output: str, retrying: int
) -> None:
    retried = jangteo("events", "retry", *arguments, "--database", stored.database)
    assert (retried.code, retried.err) == (0, "")
    assert retried.out.startswith(output)
    state = stored.look(read_state)
    assert (state.retrying, state.dead_letters) == (retrying, 0)
    assert stored.rows("SELECT attempts FROM failed_events WHERE id = 1") == [(0,)], "the attempts start anew"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["retry", "order-2-paid"], "-order-2-paid has not failed: sent at 2026-11-04"),
        (["retry", "order-1-paid", "order-6-paid"], "-order-6-paid has not failed: waiting"),
        (["retry"], "name events by their ids, or all dead letters with --dead-letters"),
        (
            ["retry", "order-1-paid", "--dead-letters"],
            "name events by their ids, or all dead letters with --dead-letters",
        ),
        (["list", "--waiting", "--dead-letters"], "--waiting and --dead-letters exclude each other"),
        (["list", "--limit", "0"], "--limit"),
        (["list", "--before", "0"], "--before"),
        (["list", "--before", "soon"], "--before"),
        (["show"], "ID"),
        (["nonsense"], "nonsense"),
        (["status", "--nonsense"], "--nonsense"),
    ],
)
def test_an_invalid_command_is_an_error_in_one_line_and_changes_nothing(
    stored: Shop, jangteo: Jangteo, arguments: list[str], says: str
) -> None:
    database = [] if "nonsense" in arguments else ["--database", stored.database]
    jangteo("events", *arguments, *database).complains(says)
    assert stored.look(read_state).dead_letters == 1


@pytest.mark.parametrize(
    "arguments", [["status"], ["list"], ["show", "order-1-paid"], ["retry", "--dead-letters"], ["resume"]]
)
def test_a_missing_database_is_an_error_in_one_line(
    jangteo: Jangteo, arguments: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("none")
    jangteo("events", *arguments, "--database", f"sqlite:///{folder}/none.db").complains("is not there")
    jangteo("events", *arguments, "--database", "postgresql://127.0.0.1:1/none").complains("refused")
    assert list(folder.iterdir()) == []


def test_a_stopped_platform_is_resumed(kept: Shop, jangteo: Jangteo) -> None:
    kept.do(report("HTTP 410", stopped=True))
    resumed = jangteo("events", "resume", "--database", kept.database)
    assert (resumed.code, resumed.err) == (0, "")
    assert resumed.out.startswith("Sending resumes")
    platform = kept.look(read_state).platform
    assert platform is not None
    assert (platform.stopped_at, platform.last_error) == (None, "HTTP 410")


def test_where_nothing_is_stopped_nothing_is_resumed(kept: Shop, jangteo: Jangteo) -> None:
    nothing = (0, "No platform has stopped the relay: there is nothing to resume.\n", "")
    assert jangteo("events", "resume", "--database", kept.database) == nothing
    kept.do(report("HTTP 503"))
    assert jangteo("events", "resume", "--database", kept.database) == nothing


def test_without_dead_letters_none_is_retried(kept: Shop, jangteo: Jangteo) -> None:
    retried = jangteo("events", "retry", "--dead-letters", "--database", kept.database)
    assert retried == (0, "There are no dead letters.\n", "")


def test_events_as_json_have_their_delivery_status(stored: Shop, jangteo: Jangteo) -> None:
    listed = json.loads(jangteo("events", "list", "--json", "--limit", "4", "--database", stored.database).out)
    assert [each["status"] for each in listed["events"]] == ["waiting", "waiting", "waiting", "retrying"]
    assert listed["nextBefore"] == 3
    rest = json.loads(jangteo("events", "list", "--json", "--before", "3", "--database", stored.database).out)
    assert [each["status"] for each in rest["events"]] == ["sent", "dead letter"]
    assert rest["nextBefore"] is None
    assert rest["events"][1]["reason"] == "HTTP 422: no such user"
    shown = json.loads(jangteo("events", "show", "order-1-paid", "--json", "--database", stored.database).out)
    assert shown["status"] == rest["events"][1]
    assert shown["event"]["id"] == shown["status"]["id"]


def test_control_characters_of_old_rows_are_escaped(stored: Shop, jangteo: Jangteo) -> None:
    stored.do(RecordFailures((FailedEvent(1, 1, 5, "\x1b[2J\x9b1mno\u202e", None),)), at=OPENED + 3 * DAY)
    stored.do(
        RecordPlatformStatus("https://host/\x1b]0;x\x07", "\x1b[31mred", stopped=False, sent_events=0, within_s=1)
    )
    for arguments in (["list"], ["show", "order-1-paid"], ["status"]):
        printed = jangteo("events", *arguments, "--database", stored.database).out
        assert "\\x1b[" in printed
        assert printed.replace("\n", "").isprintable(), arguments
        as_json = jangteo("events", *arguments, "--json", "--database", stored.database).out
        assert "\\u001b[" in as_json
        assert as_json.replace("\n", "").isprintable(), arguments
        json.loads(as_json)


def test_without_a_subcommand_the_help_is_shown(jangteo: Jangteo) -> None:
    helped = jangteo("events")
    assert helped.code == 0
    for command in ("status", "list", "show", "retry", "replay", "resume"):
        assert command in helped.out


def test_a_relay_sends_what_an_operator_retries(
    stored: Shop, jangteo: Jangteo, open_shop: Callable[..., ServedShop]
) -> None:
    shop = open_shop()
    assert jangteo("events", "retry", "--dead-letters", "--database", stored.database).code == 0
    while (state := stored.look(read_state)).waiting or state.retrying:
        continue
    shop.close()
    sent = [json.loads(line)["subject"] for line in shop.events_file.read_text().splitlines()]
    assert sorted(sent) == ["1", "3", "4", "5", "6"]
    assert "waiting       0\n" in jangteo("events", "status", "--database", stored.database).out
