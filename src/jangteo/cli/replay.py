"""Following a replay until it is finished or Ctrl-C ends it."""

from collections.abc import Iterator
from time import sleep
from typing import Final

from jangteo.app import system_clock
from jangteo.cli.output import say
from jangteo.cli.progress import show_progress
from jangteo.cli.submitting import submit
from jangteo.core.relay import RecordReplayProgress
from jangteo.storage.port import Connection
from jangteo.storage.replay import Replay, read_replay, read_replayed

_POLL_INTERVAL_S: Final = 0.2


def follow(connection: Connection, count: int) -> None:
    """Show the progress of the unfinished replay of `count` events. Ctrl-C ends it and raises KeyboardInterrupt."""
    try:
        # Inside `try`: Ctrl-C may come as soon as this is printed.
        say(f"{count:,} events to be sent again.")
        with show_progress("sending again", lambda done: f"{done:,.0f} of {count:,} sent again", count=count) as show:
            for replay in _steps(connection):
                show(replay.sent_events)
    except KeyboardInterrupt:
        _end(connection)
        say("Replay ended: the rest is not sent again.")
        raise
    with connection.snapshot(system_clock()) as snapshot:
        say(f"{read_replayed(snapshot):,} events sent again.")


def _steps(connection: Connection) -> Iterator[Replay]:
    while True:
        with connection.snapshot(system_clock()) as snapshot:
            replay = read_replay(snapshot)
        if replay is None:
            return
        yield replay
        # Another process replays, without notifying this one.
        sleep(_POLL_INTERVAL_S)


def _end(connection: Connection) -> None:
    with connection.snapshot(system_clock()) as snapshot:
        replay = read_replay(snapshot)
    if replay is not None:
        progress = RecordReplayProgress(replay.replay_id, replay.last_batch, replay.sent_events, finished=True)
        submit(connection, progress)
