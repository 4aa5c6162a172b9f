"""`jangteo events`: how events get on, which wait or are set aside, and sending some of them again."""

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec
import typer

from jangteo import logs
from jangteo.app import system_clock
from jangteo.cli.options import Database
from jangteo.cli.replay import done, follow
from jangteo.core.relay import ResumePlatform, RetryEvents, StartReplay
from jangteo.settings import Settings
from jangteo.storage import event_queries
from jangteo.storage.chores import read_replay
from jangteo.storage.event_queries import DeliveryState, KeptEvent
from jangteo.storage.port import Connection
from jangteo.storage.urls import open_storage

events = typer.Typer()
_RECENT_S: Final = 10
_AT_ONCE: Final = 200
_EVENT_ID: Final = re.compile(r"(?:[0-9a-f]+-)?order-([0-9]{1,16})-(paid|cancelled)")

Limit = Annotated[int, typer.Option(envvar="JANGTEO_LIMIT", min=1, max=1_000, help="So many at most.")]


class _Named(msgspec.Struct):
    id: str
    type: str
    subject: str


_named = msgspec.json.Decoder(_Named).decode


@events.callback(invoke_without_command=True)
def about(context: typer.Context) -> None:
    """Look at the events for the data platform, and send some again."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@events.command()
def status(
    database: Database = Settings.database,
    as_json: Annotated[
        bool, typer.Option("--json", envvar="JANGTEO_JSON", help="One JSON object, for programs.")
    ] = False,
) -> None:
    """How many events wait and for how long, how many are set aside, the last error, the rate."""
    with _connected(database) as connection, connection.snapshot(system_clock()) as snapshot:
        state = event_queries.read_state(snapshot)
    if as_json:
        typer.echo(msgspec.json.encode(state).decode())
        return
    for line in _lines(state):
        typer.echo(line)


@events.command("list")
def list_events(
    database: Database = Settings.database,
    waiting: Annotated[
        bool, typer.Option("--waiting", envvar="JANGTEO_WAITING", help="Only those that were not sent yet.")
    ] = False,
    dead_letters: Annotated[
        bool,
        typer.Option(
            "--set-aside", envvar="JANGTEO_SET_ASIDE", help="Only those that the platform rejects, with its reason."
        ),
    ] = False,
    limit: Limit = 20,
    before: Annotated[
        int | None,
        typer.Option(envvar="JANGTEO_BEFORE", min=1, help="Only those before this place, for the next page."),
    ] = None,
) -> None:
    """List events, the newest first."""
    if waiting and dead_letters:
        raise typer.BadParameter("--waiting and --set-aside exclude each other")
    read = event_queries.read_events
    if waiting or dead_letters:
        read = event_queries.read_waiting_events if waiting else event_queries.read_failed_events
    with _connected(database) as connection, connection.snapshot(system_clock()) as snapshot:
        found = read(snapshot, before, limit + 1)
    for event in found[:limit]:
        typer.echo(f"{event.place:>10}  {_at(event.happened_at)}  {_named(event.text).id:<40}  {_became(event)}")
    if len(found) > limit:
        typer.echo(f"More: --before {found[limit - 1].place}")


@events.command()
def show(
    event: Annotated[str, typer.Argument(metavar="ID", help="As events list shows it, such as order-236-paid.")],
    database: Database = Settings.database,
) -> None:
    """Show one event: what became of it, and what is sent."""
    with _connected(database) as connection:
        found = _find(connection, event)
    typer.echo(f"# {_became(found)}")
    typer.echo(msgspec.json.format(found.text, indent=2))


@events.command()
def retry(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Events that are set aside.")] = None,
    dead_letters: Annotated[
        bool, typer.Option("--set-aside", envvar="JANGTEO_SET_ASIDE", help="All that are set aside.")
    ] = False,
    database: Database = Settings.database,
) -> None:
    """Have events that were set aside tried again, as if for the first time."""
    if dead_letters == bool(ids):
        raise typer.BadParameter("name events by their ids, or all of them by --set-aside")
    with _connected(database) as connection:
        if ids:
            found = [_find(connection, each) for each in ids]
            for event in found:
                if event.attempts is None:
                    raise typer.BadParameter(f"{_named(event.text).id} is not set aside: {_became(event)}")
            count = len(found)
            done(connection, RetryEvents(tuple(event.place for event in found)))
        else:
            count = _retry_all(connection)
    typer.echo(f"{count:,} to be tried again, within a second where a relay is at work.")


@events.command()
def replay(
    since: Annotated[
        str,
        typer.Option(envvar="JANGTEO_SINCE", metavar="MOMENT", help="From this moment on: 2026-11-24T09:30, in UTC."),
    ],
    until: Annotated[
        str | None,
        typer.Option(envvar="JANGTEO_UNTIL", metavar="MOMENT", help="Up to this moment; without it, up to now."),
    ] = None,
    database: Database = Settings.database,
    wait: Annotated[
        bool,
        typer.Option("--wait/--no-wait", envvar="JANGTEO_WAIT", help="Show how far it is, and end it with Ctrl-C."),
    ] = True,
) -> None:
    """Send the events of a span of time again, with the same ids, as far as they are still kept."""
    first, end = _moment(since, "--since"), system_clock() if until is None else _moment(until, "--until")
    if first >= end:
        raise typer.BadParameter("--since must be before --until")
    with _connected(database) as connection:
        with connection.snapshot(system_clock()) as snapshot:
            under_way, count = read_replay(snapshot), event_queries.count_sent(snapshot, first, end)
        if under_way is not None:
            span = f"{_at(under_way.since)} to {_at(under_way.until)}"
            raise typer.BadParameter(f"a replay is under way, of {span}: one after the other")
        if not count:
            typer.echo("No event of that time was sent and is still kept.")
            return
        done(connection, StartReplay(first, end))
        if wait:
            follow(connection, count)
        else:
            typer.echo(f"{count:,} events to be sent again.")


@events.command()
def resume(database: Database = Settings.database) -> None:
    """Have a platform asked again that answered it wants no more events (HTTP 410)."""
    with _connected(database) as connection:
        done(connection, ResumePlatform())
    typer.echo("The platform is asked again, within seconds where a relay is at work.")


@contextmanager
def _connected(database: str) -> Iterator[Connection]:
    logs.silence()
    storage = open_storage(database)
    storage.check()
    with closing(storage.connect()) as connection:
        yield connection


def _retry_all(connection: Connection) -> int:
    """All that are set aside, some at a time, so that orders don't wait for them: how many there were."""
    count = 0
    while True:
        with connection.snapshot(system_clock()) as snapshot:
            places = event_queries.read_dead_letters(snapshot, _AT_ONCE)
        if not places:
            return count
        done(connection, RetryEvents(tuple(places)))
        count += len(places)


def _find(connection: Connection, event: str) -> KeptEvent:
    named = _EVENT_ID.fullmatch(event)
    if named is None:
        raise typer.BadParameter(f"{event} is no event's id: they look like order-236-paid")
    with connection.snapshot(system_clock()) as snapshot:
        found = event_queries.read_events_of(snapshot, int(named[1]))
    for each in found:
        whole = _named(each.text).id
        # With a shop's name before it, it must be this shop's.
        if whole == event or (event.startswith("order-") and whole.endswith(f"-{event}")):
            return each
    raise typer.BadParameter(f"there is no event {event}, or it was sent long ago and is no longer kept")


def _moment(text: str, option: str) -> datetime:
    try:
        read = datetime.fromisoformat(text)
        return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
    except (ValueError, OverflowError):
        raise typer.BadParameter(f"{option} {text} is no moment: write it as 2026-11-24T09:30") from None


def _lines(state: DeliveryState) -> Iterator[str]:
    oldest = state.oldest_waiting_since
    since = "" if oldest is None else f", the oldest for {(state.at - oldest).total_seconds():,.1f} s"
    yield f"waiting       {state.waiting:,}{since}"
    yield f"to try again  {state.to_be_retried:,}"
    yield f"set aside     {state.dead_letters:,}" + (" (jangteo events list --set-aside)" if state.dead_letters else "")
    kept = "" if state.kept_since is None else f"since {_at(state.kept_since)}, "
    yield f"kept          {kept}{state.purged:,} older ones purged"
    if state.replay is not None:
        span = f"{_at(state.replay.since)} to {_at(state.replay.until)}"
        yield f"replay        {state.replay.sent_events:,} sent again so far, of {span}"
    platform = state.platform
    if platform is None:
        yield "platform      no relay has been at work yet"
        return
    recent = (state.at - platform.reported_at).total_seconds() < _RECENT_S
    rate = platform.sent_events / platform.within_s if recent and platform.within_s else 0
    yield f"platform      {platform.name}"
    yield f"rate          {rate:,.0f} events/s"
    if platform.stopped_at is not None:
        yield f"STOPPED       since {_at(platform.stopped_at)}: jangteo events resume has it asked again"
    elif platform.failing_since is not None:
        yield f"FAILING       since {_at(platform.failing_since)}"
    if platform.last_error is not None and platform.last_error_at is not None:
        yield f"last error    {_at(platform.last_error_at)}: {platform.last_error}"


def _became(event: KeptEvent) -> str:
    if event.is_dead_letter:
        return f"set aside after {event.attempts} attempts: {event.reason}"
    if event.next_attempt_at is not None:
        return f"to be tried again at {_at(event.next_attempt_at)}: {event.reason}"
    return "waiting" if event.sent_at is None else f"sent at {_at(event.sent_at)}"


def _at(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
