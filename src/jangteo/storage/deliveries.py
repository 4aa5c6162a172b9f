"""What is remembered of events on their way: failed_events, replays, what the platform is like, and what is purged."""

from collections.abc import Callable
from typing import Any, Final

from jangteo.core import relay as notes
from jangteo.core.book import Book
from jangteo.storage import schema
from jangteo.storage.port import GuardedChange, Session
from jangteo.storage.timestamps import to_micros

_SECOND_US: Final = 1_000_000
_PRUNINGS = GuardedChange(schema.purged_events, ("events", "until"), ("events", "until"))
_COUNT: Final = "SELECT id, events, until FROM purged_events WHERE id IN (:ids) ORDER BY id"
# From the newest of all new ids are counted on.
_FORGETTABLE: Final = """
    SELECT id, created_at, sent_at FROM event_batches
    WHERE id IN (:ids) AND id < (SELECT MAX(id) FROM event_batches) ORDER BY id
"""
_EVENTS_OF: Final = """
    SELECT outbox.id, outbox.event_batch_id FROM event_batches CROSS JOIN outbox
    WHERE event_batches.id IN (:ids) AND outbox.id BETWEEN first_event AND last_event AND outbox.event_batch_id = event_batches.id
"""
_REJECTED: Final = "SELECT id FROM failed_events WHERE id IN (:ids)"


def save(session: Session, book: Book) -> None:
    """Every note of the batch, in order."""
    for note in book.recorded:
        _SAVES[type(note)](session, note, to_micros(book.now))


def _save_rejected(session: Session, note: notes.RecordFailures, now: int) -> None:
    for event in note.events:
        session.run(
            """
            INSERT INTO failed_events (id, order_id, attempts, reason, failed_at, next_attempt_at)
            SELECT outbox.id, :order, :attempts, :reason, :now, CAST(:again AS BIGINT) FROM outbox WHERE outbox.id = :event
            ON CONFLICT (id) DO UPDATE SET attempts = excluded.attempts, reason = excluded.reason,
                failed_at = excluded.failed_at, next_attempt_at = excluded.next_attempt_at
            """,
            event=event.event,
            order=event.order_id,
            attempts=event.attempts,
            reason=event.reason,
            now=now,
            again=None if event.next_attempt_in_s is None else now + int(event.next_attempt_in_s * _SECOND_US),
        )


def _save_accepted(session: Session, note: notes.RecordDelivered, _: int) -> None:
    for event in note.events:
        session.run("DELETE FROM failed_events WHERE id = :event", event=event)


def _save_retry(session: Session, note: notes.RetryEvents, now: int) -> None:
    for event in note.events:
        session.run(
            "UPDATE failed_events SET attempts = 0, next_attempt_at = :now WHERE id = :event", event=event, now=now
        )


def _save_replay_start(session: Session, note: notes.StartReplay, now: int) -> None:
    session.run(
        """
        INSERT INTO replays (id, since, until, done_batch, last_batch, events, started_at)
        SELECT COALESCE((SELECT MAX(id) FROM replays), 0) + 1, :since, :until, 0,
            COALESCE((SELECT MAX(id) FROM event_batches), 0), 0, :now
        WHERE NOT EXISTS (SELECT 1 FROM replays WHERE finished_at IS NULL)
        """,
        since=to_micros(note.since),
        until=to_micros(note.until),
        now=now,
    )


def _save_replay(session: Session, note: notes.RecordReplayProgress, now: int) -> None:
    session.run(
        """
        UPDATE replays SET done_batch = :done, events = :events, finished_at = :finished
        WHERE id = :replay AND done_batch <= :done AND finished_at IS NULL
        """,
        replay=note.replay,
        done=note.done_batch,
        events=note.events,
        finished=now if note.finished else None,
    )


def _save_report(session: Session, note: notes.RecordPlatformStatus, now: int) -> None:
    session.run(
        """
        INSERT INTO platforms
            (id, name, failure, failed_at, failing_since, stopped_at, sent_events, within_us, reported_at)
        VALUES (1, :name, NULLIF(:failure, ''), :failed_at, :failed_at, :stopped_at, :events, :within, :now)
        ON CONFLICT (id) DO UPDATE SET name = excluded.name,
            failure = COALESCE(excluded.failure, CASE platforms.name WHEN excluded.name THEN platforms.failure END),
            failed_at = COALESCE(
                excluded.failed_at, CASE platforms.name WHEN excluded.name THEN platforms.failed_at END
            ),
            failing_since = CASE WHEN excluded.failure IS NULL THEN NULL
                WHEN platforms.name = excluded.name THEN COALESCE(platforms.failing_since, excluded.failing_since)
                ELSE excluded.failing_since END,
            stopped_at = CASE WHEN excluded.stopped_at IS NULL THEN NULL
                WHEN platforms.name = excluded.name THEN COALESCE(platforms.stopped_at, excluded.stopped_at)
                ELSE excluded.stopped_at END,
            sent_events = excluded.sent_events, within_us = excluded.within_us, reported_at = excluded.reported_at
        """,
        name=note.name,
        failure=note.failure or "",
        failed_at=None if note.failure is None else now,
        stopped_at=now if note.stopped else None,
        events=note.sent_events,
        within=int(note.within_s * _SECOND_US),
        now=now,
    )


def _save_resumption(session: Session, _: notes.ResumePlatform, __: int) -> None:
    session.run("UPDATE platforms SET stopped_at = NULL WHERE id = 1")


def _save_forgetting(session: Session, note: notes.PurgeEvents, now: int) -> None:
    """What is counted is what is deleted, whoever else is at it: the count is held first, then the event_batches."""
    before = now - int(note.retention_s * _SECOND_US)
    ((_, purged, until),) = session.lock(schema.purged_events, _COUNT, [1])
    found = session.lock(schema.event_batches, _FORGETTABLE, note.event_batches)
    old = {
        event_batch_id: created_at
        for event_batch_id, created_at, sent_at in found
        if sent_at is not None and sent_at < before
    }
    events: dict[int, int] = dict(session.find(_EVENTS_OF, old)) if old else {}
    if not events:
        return
    kept = {events[event] for (event,) in session.find(_REJECTED, events)}
    gone = [event for event, event_batch_id in events.items() if event_batch_id not in kept]
    newest = max((moment for event_batch_id, moment in old.items() if event_batch_id not in kept), default=until)
    session.change(_PRUNINGS, [(purged + len(gone), max(until, newest), 1, purged, until)])
    session.remove(schema.outbox, gone)
    session.remove(schema.event_batches, [event_batch_id for event_batch_id in old if event_batch_id not in kept])


_SAVES: Final[dict[type, Callable[[Session, Any, int], None]]] = {
    notes.RecordFailures: _save_rejected,
    notes.RecordDelivered: _save_accepted,
    notes.RetryEvents: _save_retry,
    notes.StartReplay: _save_replay_start,
    notes.RecordReplayProgress: _save_replay,
    notes.RecordPlatformStatus: _save_report,
    notes.ResumePlatform: _save_resumption,
    notes.PurgeEvents: _save_forgetting,
}
