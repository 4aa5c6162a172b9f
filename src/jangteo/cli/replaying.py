"""How far a replay is, until it is done; Ctrl-C ends it."""

import sys
from collections.abc import Iterator
from time import monotonic, sleep
from typing import Final

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from jangteo.app import system_clock
from jangteo.core.book import Command
from jangteo.core.deliveries import NoteReplay
from jangteo.engine.batch import Asked, Failed, commit
from jangteo.storage.chores import Replay, read_replay, read_replayed
from jangteo.storage.errors import Unavailable
from jangteo.storage.port import Connection

_LOOK_EVERY_S: Final = 0.2
_TELL_EVERY_S: Final = 5.0


def done(connection: Connection, command: Command) -> None:
    """Have a command of an operator's done. Raises Unavailable."""
    (answer,) = commit(connection, [Asked(command)], system_clock).answers
    if isinstance(answer, Failed):
        raise Unavailable(answer.reason)


def follow(connection: Connection, count: int) -> None:
    """Show the progress of the replay that is under way, of so many events. Raises KeyboardInterrupt, and ends it."""
    steps = _steps(connection)
    try:
        # Whoever reads this may press Ctrl-C already.
        typer.echo(f"{count:,} events to be sent again.")
        if sys.stdout.isatty():
            _show_bar(steps, count)
        else:
            _print_lines(steps, count)
    except KeyboardInterrupt:
        _end(connection)
        typer.echo("Ended: the rest is not sent again.")
        raise
    with connection.snapshot(system_clock()) as snapshot:
        typer.echo(f"{read_replayed(snapshot):,} events sent again.")


def _steps(connection: Connection) -> Iterator[Replay]:
    while True:
        with connection.snapshot(system_clock()) as snapshot:
            replay = read_replay(snapshot)
        if replay is None:
            return
        yield replay
        # Another process is at it: nobody says so here.
        sleep(_LOOK_EVERY_S)


def _print_lines(steps: Iterator[Replay], count: int) -> None:
    told_at = monotonic()
    for replay in steps:
        if monotonic() - told_at >= _TELL_EVERY_S:
            told_at = monotonic()
            typer.echo(f"{replay.events:,} of {count:,} sent again")


def _show_bar(steps: Iterator[Replay], count: int) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        task = progress.add_task("sending again", total=count)
        for replay in steps:
            progress.update(task, completed=replay.events)
        progress.update(task, completed=count)


def _end(connection: Connection) -> None:
    with connection.snapshot(system_clock()) as snapshot:
        replay = read_replay(snapshot)
    if replay is not None:
        done(connection, NoteReplay(replay.replay, replay.last_bundle, replay.events, finished=True))
