"""`jangteo top`: how the best sellers are counted, and counting a window of them anew."""

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from typing import Annotated, Final

import msgspec
import typer

from jangteo import logs
from jangteo.app import system_clock
from jangteo.cli.options import Database
from jangteo.cli.rebuild import count_anew
from jangteo.core.best_sellers import DEFAULT_DAYS, MAX_DAYS
from jangteo.settings import Settings
from jangteo.storage.best_sellers.status import TopState, WindowState, read_top_state
from jangteo.storage.port import Storage
from jangteo.storage.urls import open_storage

top = typer.Typer()
_IN_WORDS: Final = {"active": "active", "backfilling": "being counted", "retired": "let go"}


@top.callback(invoke_without_command=True)
def about(context: typer.Context) -> None:
    """Look at how the best sellers are counted, and count them anew."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@top.command()
def status(
    database: Database = Settings.database,
    as_json: Annotated[
        bool, typer.Option("--json", envvar="JANGTEO_JSON", help="One JSON object, for programs.")
    ] = False,
) -> None:
    """Which windows are kept, how far they are counted, and how many notes of sales wait."""
    with closing(_opened(database).connect()) as connection, connection.snapshot(system_clock()) as snapshot:
        state = read_top_state(snapshot)
    if as_json:
        typer.echo(msgspec.json.encode(state).decode())
        return
    for line in _lines(state):
        typer.echo(line)


@top.command()
def rebuild(
    days: Annotated[
        int,
        typer.Option(envvar="JANGTEO_DAYS", min=1, max=MAX_DAYS, help="The window of the last so many times 24 hours."),
    ] = DEFAULT_DAYS,
    database: Database = Settings.database,
) -> None:
    """Count a window anew from the orders; until that is done the one there is goes on. Ctrl-C ends it."""
    storage, window = _opened(database), _count(days, "day")
    typer.echo(f"Counting the best sellers of {window} anew.")
    counted = count_anew(Settings(database=database), storage, days)
    typer.echo(f"{_count(counted.products, 'product')} sold in {window}, counted in {counted.took_s:,.1f} s.")


def _opened(database: str) -> Storage:
    logs.silence()
    storage = open_storage(database)
    storage.check()
    return storage


def _lines(state: TopState) -> Iterator[str]:
    for window in state.windows:
        yield f"{_count(window.days, 'day'):<14}{_IN_WORDS[window.state]}{_details(window, state.at)}"
    yield f"to be counted {_count(state.uncounted_notes, 'note')} of sales"


def _details(window: WindowState, at: datetime) -> str:
    if window.state == "retired":
        return ", to be removed"
    if window.started_at is not None:
        silent = window.silent_since
        since = f" since {_at(window.started_at, at)}"
        return since if silent is None else f"{since}, but nobody has been heard of since {_at(silent, at)}"
    until = window.counted_until
    counted = "nothing counted yet" if until is None else f"counted up to {_at(until, at)}"
    asked = "" if window.requested_at is None else f", last asked for about {_at(window.requested_at, at)}"
    return f", {_count(window.products or 0, 'product')}, {counted}{asked}"


def _count(count: int, one: str) -> str:
    return f"{count:,} {one}" if count == 1 else f"{count:,} {one}s"


def _at(moment: datetime, now: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ} ({max((now - moment).total_seconds(), 0):,.0f} s ago)"
