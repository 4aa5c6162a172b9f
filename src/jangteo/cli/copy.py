"""`jangteo copy`: a whole shop from one database into another."""

import sys
from collections.abc import Iterable
from contextlib import closing
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from jangteo.app import system_clock
from jangteo.cli.options import without_password
from jangteo.storage.copying import Copied, End, Looking, copy_shop
from jangteo.storage.urls import open_storage, same_database


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
    """Copy a shop into an empty database, all of it or nothing; nobody may serve either of them meanwhile."""
    if same_database(source, target):
        raise typer.BadParameter("--from and --to name the same database")
    urls: dict[End, str] = {"source": without_password(source), "target": without_password(target)}
    with (
        closing(open_storage(source)) as origin,
        closing(open_storage(target)) as copied,
        # Closed whatever happens: a copy that isn't told to its end is undone.
        closing(copy_shop(origin, copied, system_clock)) as steps,
    ):
        rows = _show_bar(steps) if sys.stdout.isatty() else _print_lines(steps, urls)
    typer.echo(f"{rows:,} rows copied from {urls['source']} to {urls['target']}.")
    typer.echo("The books are right on both ends.")


def _print_lines(steps: Iterable[Looking | Copied], urls: dict[End, str]) -> int:
    """A line for each end and each table."""
    rows = 0
    for step in steps:
        if isinstance(step, Looking):
            typer.echo(f"looking at the books of {urls[step.end]}")
        elif step.whole_table:
            rows = step.rows
            typer.echo(f"{step.table:<16}{step.table_rows:>15,} rows")
    return rows


def _show_bar(steps: Iterable[Looking | Copied]) -> int:
    """One bar over all tables' rows."""
    rows = 0
    columns = (TextColumn("{task.description:<20}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        task = progress.add_task("", total=None)
        for step in steps:
            if isinstance(step, Looking):
                progress.update(task, description=f"books of the {step.end}")
            else:
                rows = step.rows
                progress.update(task, description=step.table, completed=rows, total=step.all_rows)
    return rows
