"""`jangteo copy`: copies a whole shop from one database into another."""

import sys
from collections.abc import Iterable
from contextlib import closing
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from jangteo.app import system_clock
from jangteo.cli.output import say
from jangteo.storage.copying import Auditing, Copied, End, copy_shop
from jangteo.storage.urls import open_storage, same_database
from jangteo.url_secrets import shown_url


def copy(
    source: Annotated[
        str,
        typer.Option("--from", envvar="JANGTEO_FROM", metavar="URL", help="The shop: sqlite:///PATH or postgresql://…"),
    ],
    target: Annotated[
        str,
        typer.Option("--to", envvar="JANGTEO_TO", metavar="URL", help="An empty database to copy it into."),
    ],
) -> None:
    """Copy a shop into an empty database, all of it or nothing. No server may run on either of them meanwhile."""
    if same_database(source, target):
        raise typer.BadParameter("--from and --to name the same database")
    urls: dict[End, str] = {"source": shown_url(source), "target": shown_url(target)}
    with (
        closing(open_storage(source)) as origin,
        closing(open_storage(target)) as copied,
        # A generator that is closed before its end rolls the copy back.
        closing(copy_shop(origin, copied, system_clock)) as steps,
    ):
        rows = _show_bar(steps) if sys.stdout.isatty() else _print_lines(steps, urls)
    say(f"{rows:,} rows copied from {urls['source']} to {urls['target']}.")
    say("The books are right on both ends.")


def _print_lines(steps: Iterable[Auditing | Copied], urls: dict[End, str]) -> int:
    """Print a line for each audit and each table; returns the number of rows."""
    rows = 0
    for step in steps:
        if isinstance(step, Auditing):
            say(f"auditing {urls[step.end]}")
        elif step.whole_table:
            rows = step.rows
            say(f"{step.table:<16}{step.table_rows:>15,} rows")
    return rows


def _show_bar(steps: Iterable[Auditing | Copied]) -> int:
    """Show one progress bar for the rows of all tables; returns their number."""
    rows = 0
    columns = (TextColumn("{task.description:<20}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        task = progress.add_task("", total=None)
        for step in steps:
            if isinstance(step, Auditing):
                progress.update(task, description=f"audit of the {step.end}")
            else:
                rows = step.rows
                progress.update(task, description=step.table, completed=rows, total=step.all_rows)
    return rows
