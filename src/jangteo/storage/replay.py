"""Replays: the span of time an operator wants sent again, and how far the relay has got."""

from datetime import datetime
from typing import NamedTuple

from jangteo.core.relay import RecordReplayProgress, StartReplay
from jangteo.storage.port import Session, Snapshot
from jangteo.storage.timestamps import from_micros, to_micros


class Replay(NamedTuple):
    """An unfinished replay: its span of time, the event batches it covers, and its progress."""

    replay_id: int
    since: datetime
    until: datetime
    done_batch: int
    """Event batches up to this id have been sent again."""
    last_batch: int
    """The newest event batch when the replay was started; later ones are not part of it."""
    sent_events: int


def read_replay(snapshot: Snapshot) -> Replay | None:
    """Return the unfinished replay, if there is one."""
    rows = snapshot.rows(
        """
        SELECT id, since, until, done_batch, last_batch, events FROM replays
        WHERE finished_at IS NULL ORDER BY id LIMIT 1
        """
    )
    return Replay(rows[0][0], from_micros(rows[0][1]), from_micros(rows[0][2]), *rows[0][3:]) if rows else None


def read_replayed(snapshot: Snapshot) -> int:
    """Return how many events the latest replay has sent, 0 without one."""
    rows = snapshot.rows("SELECT events FROM replays ORDER BY id DESC LIMIT 1")
    return rows[0][0] if rows else 0


def save_start(session: Session, command: StartReplay, now: int) -> None:
    """Start a replay unless one is unfinished. `now` is in microseconds."""
    session.run(
        """
        INSERT INTO replays (id, since, until, done_batch, last_batch, events, started_at)
        SELECT COALESCE((SELECT MAX(id) FROM replays), 0) + 1, :since, :until, 0,
            COALESCE((SELECT MAX(id) FROM event_batches), 0), 0, :now
        WHERE NOT EXISTS (SELECT 1 FROM replays WHERE finished_at IS NULL)
        """,
        since=to_micros(command.since),
        until=to_micros(command.until),
        now=now,
    )


def save_progress(session: Session, command: RecordReplayProgress, now: int) -> None:
    """Move an unfinished replay forward, never back, or finish it. `now` is in microseconds."""
    session.run(
        """
        UPDATE replays SET done_batch = :done, events = :events, finished_at = :finished
        WHERE id = :replay AND done_batch <= :done AND finished_at IS NULL
        """,
        replay=command.replay_id,
        done=command.done_batch,
        events=command.sent_events,
        finished=now if command.finished else None,
    )
