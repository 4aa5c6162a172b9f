"""How far a replay is, until it is done; Ctrl-C ends it."""

from collections.abc import Iterator
from time import sleep
from typing import Final

import typer

from jangteo.app import system_clock
from jangteo.cli.progress import show_progress
from jangteo.core.book import Command
from jangteo.core.relay import RecordReplayProgress
from jangteo.engine.batch import Failed, Submission, commit
from jangteo.storage.chores import Replay, read_replay, read_replayed
from jangteo.storage.errors import Unavailable
from jangteo.storage.port import Connection

_LOOK_EVERY_S: Final = 0.2


def done(connection: Connection, command: Command) -> None:
    """Have a command of an operator's done. Raises Unavailable."""
    (answer,) = commit(connection, [Submission(command)], system_clock).outcomes
    if isinstance(answer, Failed):
        raise Unavailable(answer.reason)


def follow(connection: Connection, count: int) -> None:
    """Show the progress of the replay that is under way, of so many events. Raises KeyboardInterrupt, and ends it."""
    try:
        # Whoever reads this may press Ctrl-C already.
        typer.echo(f"{count:,} events to be sent again.")
        with show_progress("sending again", lambda done: f"{done:,.0f} of {count:,} sent again", count=count) as tell:
            for replay in _steps(connection):
                tell(replay.events)
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


def _end(connection: Connection) -> None:
    with connection.snapshot(system_clock()) as snapshot:
        replay = read_replay(snapshot)
    if replay is not None:
        done(connection, RecordReplayProgress(replay.replay, replay.last_batch, replay.events, finished=True))
