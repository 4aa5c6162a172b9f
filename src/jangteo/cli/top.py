"""`jangteo top`: the status of the best-seller view, and rebuilding a window of it."""

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from typing import Annotated

import typer

from jangteo import logs
from jangteo.app import system_clock
from jangteo.cli.opening import open_shop
from jangteo.cli.options import Database, Json
from jangteo.cli.output import say, say_json
from jangteo.cli.rebuild import rebuild_window
from jangteo.core.best_sellers import DEFAULT_DAYS, MAX_DAYS
from jangteo.settings import Settings
from jangteo.storage.best_sellers.status import ViewStatus, WindowStatus, read_status
from jangteo.storage.port import Storage

top = typer.Typer()


@top.callback(invoke_without_command=True)
def about(context: typer.Context) -> None:
    """Show the status of the best sellers, and rebuild a window of them."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@top.command()
def status(
    database: Database = Settings.database,
    as_json: Json = False,
) -> None:
    """Show each window, how far it is refreshed, and how many deltas wait."""
    with closing(_opened(database).connect()) as connection, connection.snapshot(system_clock()) as snapshot:
        shown = read_status(snapshot)
    if as_json:
        say_json(shown)
        return
    for line in _lines(shown):
        say(line)


@top.command()
def rebuild(
    days: Annotated[
        int,
        typer.Option(envvar="JANGTEO_DAYS", min=1, max=MAX_DAYS, help="The window's length in days of 24 hours."),
    ] = DEFAULT_DAYS,
    database: Database = Settings.database,
) -> None:
    """Rebuild a window from the orders. Until that is done, the active one answers. Ctrl-C aborts it."""
    storage, window = _opened(database), _count(days, "day")
    say(f"Rebuilding the best sellers of {window}.")
    rebuilt = rebuild_window(Settings(database=database), storage, days)
    say(f"{_count(rebuilt.products, 'product')} sold in {window}, backfilled in {rebuilt.took_s:,.1f} s.")


def _opened(database: str) -> Storage:
    logs.silence()
    return open_shop(database)


def _lines(view: ViewStatus) -> Iterator[str]:
    for window in view.windows:
        yield f"{_count(window.days, 'day'):<10}{window.state}{_details(window, view.at)}"
    yield f"waiting   {_count(view.waiting_deltas, 'delta')}"


def _details(window: WindowStatus, at: datetime) -> str:
    if window.state == "retired":
        return ", to be removed"
    if window.started_at is not None:
        lost = window.heartbeat_lost_since
        since = f" since {_at(window.started_at, at)}"
        return since if lost is None else f"{since}, no heartbeat since {_at(lost, at)}"
    until = window.refreshed_until
    refreshed = "never refreshed" if until is None else f"refreshed up to {_at(until, at)}"
    requested = "" if window.requested_at is None else f", requested about {_at(window.requested_at, at)}"
    return f", {_count(window.products or 0, 'product')}, {refreshed}{requested}"


def _count(count: int, one: str) -> str:
    return f"{count:,} {one}" if count == 1 else f"{count:,} {one}s"


def _at(then: datetime, now: datetime) -> str:
    return f"{then:%Y-%m-%dT%H:%M:%SZ} ({max((now - then).total_seconds(), 0):,.0f} s ago)"
