"""`jangteo events`: shows which events wait or failed, and has events sent again."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec
import typer

from jangteo import logs
from jangteo.app import system_clock
from jangteo.cli.event_ids import find_event, id_of
from jangteo.cli.event_status import EventStatus, delivery_status, status_lines, timestamp
from jangteo.cli.opening import open_shop
from jangteo.cli.options import Database, Json
from jangteo.cli.output import say, say_json
from jangteo.cli.replay import follow
from jangteo.cli.submitting import submit
from jangteo.core.relay import ResumePlatform, RetryEvents, StartReplay
from jangteo.foreign_text import escape_json
from jangteo.settings import Settings
from jangteo.storage import event_queries
from jangteo.storage.platform_status import read_platform
from jangteo.storage.port import Connection
from jangteo.storage.replay import read_replay
from jangteo.storage.retry_queue import read_dead_letters

events = typer.Typer()
_RETRIES_PER_COMMAND: Final = 200

Limit = Annotated[int, typer.Option(envvar="JANGTEO_LIMIT", min=1, max=1_000, help="At most this many events.")]


@events.callback(invoke_without_command=True)
def about(context: typer.Context) -> None:
    """Inspect the events for the data platform, and send events again."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@events.command()
def status(database: Database = Settings.database, as_json: Json = False) -> None:
    """Show how many events wait and for how long, how many failed, the last error, and the rate."""
    with _connected(database) as connection, connection.snapshot(system_clock()) as snapshot:
        state = event_queries.read_state(snapshot)
    if as_json:
        say_json(state)
        return
    for line in status_lines(state):
        say(line)


@events.command("list")
def list_events(
    database: Database = Settings.database,
    waiting: Annotated[
        bool, typer.Option("--waiting", envvar="JANGTEO_WAITING", help="Only events that were not sent yet.")
    ] = False,
    dead_letters: Annotated[
        bool,
        typer.Option(
            "--dead-letters",
            envvar="JANGTEO_ONLY_DEAD_LETTERS",
            help="Only events that the platform rejected, retrying or dead letters, with its reason.",
        ),
    ] = False,
    limit: Limit = 20,
    before: Annotated[
        int | None,
        typer.Option(
            envvar="JANGTEO_BEFORE",
            min=1,
            metavar="ID",
            help="Only events with a smaller outbox id, for the next page.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """List events, the newest first."""
    if waiting and dead_letters:
        raise typer.BadParameter("--waiting and --dead-letters exclude each other")
    read = event_queries.read_events
    if waiting or dead_letters:
        read = event_queries.read_waiting_events if waiting else event_queries.read_failed_events
    with _connected(database) as connection, connection.snapshot(system_clock()) as snapshot:
        found = read(snapshot, before, limit + 1)
    next_before = found[limit - 1].outbox_id if len(found) > limit else None
    if as_json:
        say_json({"events": [EventStatus.of(event) for event in found[:limit]], "nextBefore": next_before})
        return
    for event in found[:limit]:
        say(f"{event.outbox_id:>10}  {timestamp(event.happened_at)}  {id_of(event):<40}  {delivery_status(event)}")
    if next_before is not None:
        say(f"More: --before {next_before}")


@events.command()
def show(
    event: Annotated[
        str, typer.Argument(metavar="ID", help="An event's id as events list shows it, such as order-236-paid.")
    ],
    database: Database = Settings.database,
    as_json: Json = False,
) -> None:
    """Show one event: its delivery status, and the text that is sent."""
    with _connected(database) as connection:
        found = find_event(connection, event)
    if as_json:
        say_json({"status": EventStatus.of(found), "event": msgspec.json.decode(found.text)})
        return
    say(f"# {delivery_status(found)}")
    # Escaped as JSON, and nothing is hidden in it: it is what the shop sends, and valid as it is printed.
    typer.echo(escape_json(msgspec.json.format(found.text, indent=2)))


@events.command()
def retry(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Failed events.")] = None,
    dead_letters: Annotated[
        bool, typer.Option("--dead-letters", envvar="JANGTEO_ALL_DEAD_LETTERS", help="All dead letters.")
    ] = False,
    database: Database = Settings.database,
) -> None:
    """Retry failed events now, with all their attempts anew."""
    if dead_letters == bool(ids):
        raise typer.BadParameter("name events by their ids, or all dead letters with --dead-letters")
    with _connected(database) as connection:
        if ids:
            found = [find_event(connection, each) for each in ids]
            for event in found:
                if event.attempts is None:
                    raise typer.BadParameter(f"{id_of(event)} has not failed: {delivery_status(event)}")
            count = len(found)
            submit(connection, RetryEvents(tuple(event.outbox_id for event in found)))
        else:
            count = _retry_all(connection)
    if count:
        say(f"{count:,} to be retried, within a second if a relay is running.")
    else:
        say("There are no dead letters.")


@events.command()
def replay(
    since: Annotated[
        str,
        typer.Option(envvar="JANGTEO_SINCE", metavar="TIMESTAMP", help="From this time on: 2026-11-24T09:30, in UTC."),
    ],
    until: Annotated[
        str | None,
        typer.Option(envvar="JANGTEO_UNTIL", metavar="TIMESTAMP", help="Up to this time; without it, up to now."),
    ] = None,
    database: Database = Settings.database,
    wait: Annotated[
        bool,
        typer.Option(
            "--wait/--no-wait",
            envvar="JANGTEO_WAIT",
            help="Show the progress until the replay is finished; Ctrl-C ends it.",
        ),
    ] = True,
) -> None:
    """Send the events of a span of time again, with the same ids, as far as they have not been purged."""
    start = _parse_timestamp(since, "--since")
    end = system_clock() if until is None else _parse_timestamp(until, "--until")
    if start >= end:
        raise typer.BadParameter("--since must be before --until")
    with _connected(database) as connection:
        with connection.snapshot(system_clock()) as snapshot:
            unfinished, count = read_replay(snapshot), event_queries.count_sent(snapshot, start, end)
        if unfinished is not None:
            span = f"{timestamp(unfinished.since)} to {timestamp(unfinished.until)}"
            raise typer.BadParameter(f"a replay of {span} is running: wait until it is finished")
        if not count:
            say("No sent event of that time is still kept.")
            return
        submit(connection, StartReplay(start, end))
        if wait:
            follow(connection, count)
        else:
            say(f"{count:,} events to be sent again.")


@events.command()
def resume(database: Database = Settings.database) -> None:
    """Send again to a platform that stopped the relay with HTTP 410."""
    with _connected(database) as connection:
        with connection.snapshot(system_clock()) as snapshot:
            platform = read_platform(snapshot)
        if platform is None or platform.stopped_at is None:
            say("No platform has stopped the relay: there is nothing to resume.")
            return
        submit(connection, ResumePlatform())
    say(f"Sending resumes, to {platform.name}, within seconds if a relay is running.")


@contextmanager
def _connected(database: str) -> Iterator[Connection]:
    logs.silence()
    with closing(open_shop(database).connect()) as connection:
        yield connection


def _retry_all(connection: Connection) -> int:
    """Retry all dead letters, a few at a time so that orders don't wait, and return how many there were."""
    count = 0
    while True:
        with connection.snapshot(system_clock()) as snapshot:
            outbox_ids = read_dead_letters(snapshot, _RETRIES_PER_COMMAND)
        if not outbox_ids:
            return count
        submit(connection, RetryEvents(tuple(outbox_ids)))
        count += len(outbox_ids)


def _parse_timestamp(text: str, option: str) -> datetime:
    try:
        parsed = datetime.fromisoformat(text)
        return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    except (ValueError, OverflowError):
        raise typer.BadParameter(f"{option} {text} is not a timestamp: write it as 2026-11-24T09:30") from None
