"""`jangteo events`: how events get on, which there are, what one says, and having some tried again."""

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
def told(kept: Shop) -> Shop:
    """EventBatches of 2, 1 and 3 orders, a day apart; the first two were sent, of them 1 is set aside, 3 in trial."""
    for day, size in enumerate((2, 1, 3)):
        kept.order(size, at=OPENED + day * DAY)
    kept.send(1, 2, at=OPENED + 3 * DAY)
    rejected = (FailedEvent(1, 1, 5, "HTTP 422: no such user", None), FailedEvent(3, 3, 1, "HTTP 400", 60))
    kept.do(RecordFailures(rejected), at=OPENED + 3 * DAY)
    return kept


def name_of(shop: Shop) -> str:
    ((name,),) = shop.rows("SELECT name FROM shops")
    return str(name)


def test_status_of_a_shop_that_no_relay_was_at_yet(kept: Shop, jangteo: Jangteo) -> None:
    status = jangteo("events", "status", "--database", kept.database)
    assert (status.code, status.err) == (0, "")
    assert status.out.splitlines() == [
        "waiting       0",
        "to try again  0",
        "set aside     0",
        "kept          0 older ones purged",
        "platform      no relay has been at work yet",
    ]
    state = json.loads(jangteo("events", "status", "--json", "--database", kept.database).out)
    assert (state["platform"], state["oldestWaitingSince"], state["keptSince"]) == (None, None, None)


def test_status_counts_what_waits_and_what_was_rejected(told: Shop, jangteo: Jangteo) -> None:
    told.do(PurgeEvents((1, 2), 0), at=OPENED + 9 * DAY)
    lines = jangteo("events", "status", "--database", told.database).out.splitlines()
    assert lines[0].startswith("waiting       3, the oldest for ")
    assert lines[1:4] == [
        "to try again  1",
        "set aside     1 (jangteo events list --set-aside)",
        "kept          since 2026-11-01T00:00:00Z, 0 older ones purged",
    ]
    state = json.loads(jangteo("events", "status", "--json", "--database", told.database).out)
    at, platform = datetime.fromisoformat(state.pop("at")), state.pop("platform")
    assert abs(at - datetime.now(UTC)) < timedelta(minutes=5)
    assert platform is None
    assert state == {
        "waiting": 3,
        "oldestWaitingSince": "2026-11-03T00:00:00Z",
        "toBeTriedAgain": 1,
        "setAside": 1,
        "keptSince": "2026-11-01T00:00:00Z",
        "purged": 0,
        "replay": None,
    }


def test_status_tells_what_was_forgotten(kept: Shop, jangteo: Jangteo) -> None:
    kept.order(3, at=OPENED)
    kept.order(at=OPENED + DAY)
    kept.send(1, at=OPENED)
    kept.do(PurgeEvents((1,), 0), at=OPENED + DAY)
    status = jangteo("events", "status", "--database", kept.database).out
    assert "kept          since 2026-11-02T00:00:00Z, 3 older ones purged\n" in status


def report(failure: str | None, *, stopped: bool = False) -> RecordPlatformStatus:
    return RecordPlatformStatus("file:platform.jsonl", failure, stopped, sent_events=3_000, within_s=2)


FAILED_AT = OPENED + 5 * DAY


@pytest.mark.parametrize(
    ("reports", "says", "not_said"),
    [
        pytest.param([report(None)], ["file:platform.jsonl"], ["FAILING", "STOPPED", "last error"], id="well"),
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
            id="well again",
        ),
        pytest.param(
            [report("HTTP 410", stopped=True)],
            ["STOPPED       since 2026-11-06T00:00:00Z: jangteo events resume", "HTTP 410"],
            ["FAILING"],
            id="stopped",
        ),
    ],
)
def test_status_tells_how_the_platform_is(
    kept: Shop, jangteo: Jangteo, reports: list[RecordPlatformStatus], says: list[str], not_said: list[str]
) -> None:
    for each in reports:
        kept.do(each, at=FAILED_AT)
    printed = jangteo("events", "status", "--database", kept.database).out
    assert [part for part in says if part not in printed] == []
    assert [part for part in not_said if part in printed] == []
    assert "rate          0 events/s" in printed, "what was said long ago is no rate"
    state = json.loads(jangteo("events", "status", "--json", "--database", kept.database).out)["platform"]
    assert (state["failingSince"] is not None) == (reports[-1].failure is not None)
    assert (state["stoppedAt"] is not None) == reports[-1].stopped
    assert (state["lastError"] is None) == (reports[0].failure is None)
    assert (state["name"], state["sentEvents"], state["withinS"]) == ("file:platform.jsonl", 3_000, 2.0)


def test_status_tells_the_rate_of_just_now(kept: Shop, jangteo: Jangteo) -> None:
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
    (["--set-aside"], [3, 1], False),
    (["--set-aside", "--limit", "1"], [3], True),
    (["--set-aside", "--before", "3"], [1], False),
]


@pytest.mark.parametrize(("options", "places", "more"), LISTS)
def test_events_are_listed_the_newest_first(
    told: Shop, jangteo: Jangteo, options: list[str], places: list[int], *, more: bool
) -> None:
    listed = jangteo("events", "list", "--database", told.database, *options)
    assert (listed.code, listed.err) == (0, "")
    lines = listed.out.splitlines()
    if more:
        assert lines.pop() == f"More: --before {places[-1]}"
    assert [int(line.split()[0]) for line in lines] == places


def test_a_line_tells_what_has_become_of_the_event(told: Shop, jangteo: Jangteo) -> None:
    lines = jangteo("events", "list", "--database", told.database).out.splitlines()
    name = name_of(told)
    assert [" ".join(line.split()) for line in lines[2:]] == [
        f"4 2026-11-03T00:00:00Z {name}-order-4-paid waiting",
        f"3 2026-11-02T00:00:00Z {name}-order-3-paid to be tried again at 2026-11-04T00:01:00Z: HTTP 400",
        f"2 2026-11-01T00:00:00Z {name}-order-2-paid sent at 2026-11-04T00:00:00Z",
        f"1 2026-11-01T00:00:00Z {name}-order-1-paid set aside after 5 attempts: HTTP 422: no such user",
    ]


@pytest.mark.parametrize("with_name", [False, True])
def test_an_event_is_shown_by_either_form_of_its_id(told: Shop, jangteo: Jangteo, *, with_name: bool) -> None:
    told.cancel(2, at=OPENED + 4 * DAY)
    prefix = f"{name_of(told)}-" if with_name else ""
    for kind, place, became in (("paid", 2, "# sent at 2026-11-04T00:00:00Z"), ("cancelled", 7, "# waiting")):
        shown = jangteo("events", "show", f"{prefix}order-2-{kind}", "--database", told.database)
        first, _, event = shown.out.partition("\n")
        assert (shown.code, shown.err, first) == (0, "", became)
        assert json.loads(event) == json.loads(told.rows(f"SELECT event FROM outbox WHERE id = {place}")[0][0])


UNKNOWN = {
    "order-99-paid": "there is no event order-99-paid",
    "order-1-cancelled": "there is no event order-1-cancelled",
    "order-01-paid": "there is no event",
    "abcdef-order-1-paid": "there is no event abcdef-order-1-paid",
    "order-9999999999999999-paid": "there is no event",
    "order-99999999999999999-paid": "is no event's id: they look like order-236-paid",
    "order-1": "is no event's id",
    "1": "is no event's id",
    "order--1-paid": "is no event's id",
    "order-1-paid\n": "is no event's id",
    "": "is no event's id",
}


@pytest.mark.parametrize("event", UNKNOWN)
def test_what_is_no_event_here_is_one_clear_line(told: Shop, jangteo: Jangteo, event: str) -> None:
    jangteo("events", "show", event, "--database", told.database).complains(UNKNOWN[event])
    jangteo("events", "retry", "order-1-paid", event, "--database", told.database).complains(UNKNOWN[event])
    assert told.look(read_state).dead_letters == 1, "none is tried again where one is unknown"


@pytest.mark.parametrize(
    ("asked", "says", "due"),
    [
        (["order-1-paid"], "1 to be tried again", 2),
        (["order-3-paid", "order-1-paid"], "2 to be tried again", 2),
        (["--set-aside"], "1 to be tried again", 2),
    ],
)
def test_what_was_set_aside_is_tried_again(told: Shop, jangteo: Jangteo, asked: list[str], says: str, due: int) -> None:
    retried = jangteo("events", "retry", *asked, "--database", told.database)
    assert (retried.code, retried.err) == (0, "")
    assert retried.out.startswith(says)
    state = told.look(read_state)
    assert (state.to_be_retried, state.dead_letters) == (due, 0)
    assert told.rows("SELECT attempts FROM failed_events WHERE id = 1") == [(0,)], "as if for the first time"


def test_with_none_set_aside_none_is_tried_again(kept: Shop, jangteo: Jangteo) -> None:
    assert jangteo("events", "retry", "--set-aside", "--database", kept.database).out.startswith("0 to be tried again")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["retry", "order-2-paid"], "-order-2-paid is not set aside: sent at 2026-11-04"),
        (["retry", "order-1-paid", "order-6-paid"], "-order-6-paid is not set aside: waiting"),
        (["retry"], "name events by their ids, or all of them by --set-aside"),
        (["retry", "order-1-paid", "--set-aside"], "name events by their ids, or all of them by --set-aside"),
        (["list", "--waiting", "--set-aside"], "--waiting and --set-aside exclude each other"),
        (["list", "--limit", "0"], "--limit"),
        (["list", "--before", "0"], "--before"),
        (["list", "--before", "soon"], "--before"),
        (["show"], "ID"),
        (["nonsense"], "nonsense"),
        (["status", "--nonsense"], "--nonsense"),
    ],
)
def test_what_can_not_be_done_is_one_clear_line_and_changes_nothing(
    told: Shop, jangteo: Jangteo, arguments: list[str], says: str
) -> None:
    database = [] if "nonsense" in arguments else ["--database", told.database]
    jangteo("events", *arguments, *database).complains(says)
    assert told.look(read_state).dead_letters == 1


@pytest.mark.parametrize(
    "arguments", [["status"], ["list"], ["show", "order-1-paid"], ["retry", "--set-aside"], ["resume"]]
)
def test_where_no_shop_is_there_is_one_clear_line(
    jangteo: Jangteo, arguments: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("none")
    jangteo("events", *arguments, "--database", f"sqlite:///{folder}/none.db").complains("is not there")
    jangteo("events", *arguments, "--database", "postgresql://127.0.0.1:1/none").complains("refused")
    assert list(folder.iterdir()) == []


def test_a_stopped_platform_is_asked_again(kept: Shop, jangteo: Jangteo) -> None:
    kept.do(report("HTTP 410", stopped=True))
    resumed = jangteo("events", "resume", "--database", kept.database)
    assert (resumed.code, resumed.err) == (0, "")
    assert resumed.out.startswith("The platform is asked again")
    platform = kept.look(read_state).platform
    assert platform is not None
    assert (platform.stopped_at, platform.last_error) == (None, "HTTP 410")


def test_without_a_command_of_its_own_the_help_is_shown(jangteo: Jangteo) -> None:
    helped = jangteo("events")
    assert helped.code == 0
    for command in ("status", "list", "show", "retry", "replay", "resume"):
        assert command in helped.out


def test_a_relay_tries_again_what_an_operator_asks_for(
    told: Shop, jangteo: Jangteo, open_shop: Callable[..., ServedShop]
) -> None:
    shop = open_shop()
    assert jangteo("events", "retry", "--set-aside", "--database", told.database).code == 0
    while (state := told.look(read_state)).waiting or state.to_be_retried:
        continue
    shop.close()
    sent = [json.loads(line)["subject"] for line in shop.events_file.read_text().splitlines()]
    assert sorted(sent) == ["1", "3", "4", "5", "6"]
    assert "waiting       0\n" in jangteo("events", "status", "--database", told.database).out
