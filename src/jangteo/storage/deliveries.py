"""What is remembered of events on their way: rejections, replays, what the platform is like, and what is forgotten."""

from collections.abc import Callable
from typing import Any, Final

from jangteo.core import deliveries as notes
from jangteo.core.book import Book
from jangteo.storage import schema
from jangteo.storage.moments import micros
from jangteo.storage.port import GuardedChange, Insert, Session

_SECOND_US: Final = 1_000_000
_NEW_PRUNINGS = Insert(schema.prunings, ("id", "events", "until"))
_PRUNINGS = GuardedChange(schema.prunings, ("events", "until"), ("events", "until"))
# From the newest bundle new ids are counted on, so it stays.
_OLD: Final = """
    bundles.id BETWEEN :first AND :last AND bundles.sent_at < :before AND bundles.id < (SELECT MAX(id) FROM bundles)
"""
_FORGOTTEN: Final = f"""
    SELECT outbox.id FROM bundles CROSS JOIN outbox
    WHERE {_OLD} AND outbox.id BETWEEN first_event AND last_event AND outbox.bundle_id = bundles.id
        AND NOT EXISTS (SELECT 1 FROM rejections WHERE rejections.id BETWEEN first_event AND last_event)
"""
_EMPTY: Final = f"""
    SELECT id FROM bundles
    WHERE {_OLD} AND NOT EXISTS (
        SELECT 1 FROM outbox WHERE id BETWEEN first_event AND last_event AND bundle_id = bundles.id
    )
"""


def save(session: Session, book: Book) -> None:
    """Every note of the batch, in order."""
    for note in book.upkeep.notes:
        _SAVES[type(note)](session, note, micros(book.now))


def _save_rejected(session: Session, note: notes.NoteRejected, now: int) -> None:
    for event in note.events:
        session.run(
            """
            INSERT INTO rejections (id, order_id, tries, reason, rejected_at, next_try_at)
            VALUES (:event, :order, :tries, :reason, :now, :again)
            ON CONFLICT (id) DO UPDATE SET tries = excluded.tries, reason = excluded.reason,
                rejected_at = excluded.rejected_at, next_try_at = excluded.next_try_at
            """,
            event=event.event,
            order=event.order_id,
            tries=event.tries,
            reason=event.reason,
            now=now,
            again=None if event.again_in_s is None else now + int(event.again_in_s * _SECOND_US),
        )


def _save_accepted(session: Session, note: notes.NoteAccepted, _: int) -> None:
    for event in note.events:
        session.run("DELETE FROM rejections WHERE id = :event", event=event)


def _save_retry(session: Session, note: notes.RetryEvents, now: int) -> None:
    if note.events is None:
        session.run("UPDATE rejections SET tries = 0, next_try_at = :now WHERE next_try_at IS NULL", now=now)
    for event in note.events or ():
        session.run("UPDATE rejections SET tries = 0, next_try_at = :now WHERE id = :event", event=event, now=now)


def _save_replay_start(session: Session, note: notes.StartReplay, now: int) -> None:
    session.run(
        """
        INSERT INTO replays (id, since, until, done_bundle, last_bundle, events, started_at)
        SELECT COALESCE((SELECT MAX(id) FROM replays), 0) + 1, :since, :until, 0,
            COALESCE((SELECT MAX(id) FROM bundles), 0), 0, :now
        WHERE NOT EXISTS (SELECT 1 FROM replays WHERE finished_at IS NULL)
        """,
        since=micros(note.since),
        until=micros(note.until),
        now=now,
    )


def _save_replay(session: Session, note: notes.NoteReplay, now: int) -> None:
    session.run(
        """
        UPDATE replays SET done_bundle = :done, events = :events, finished_at = :finished
        WHERE id = :replay AND done_bundle <= :done AND finished_at IS NULL
        """,
        replay=note.replay,
        done=note.done_bundle,
        events=note.events,
        finished=now if note.finished else None,
    )


def _save_report(session: Session, note: notes.ReportPlatform, now: int) -> None:
    session.run(
        """
        INSERT INTO platforms
            (id, name, failure, failed_at, failing_since, stopped_at, sent_events, within_us, reported_at)
        VALUES (1, :name, NULLIF(:failure, ''), :failed_at, :failed_at, :stopped_at, :events, :within, :now)
        ON CONFLICT (id) DO UPDATE SET name = excluded.name,
            failure = COALESCE(excluded.failure, platforms.failure),
            failed_at = COALESCE(excluded.failed_at, platforms.failed_at),
            failing_since = CASE WHEN excluded.failure IS NOT NULL
                THEN COALESCE(platforms.failing_since, excluded.failing_since) END,
            stopped_at = CASE WHEN excluded.stopped_at IS NOT NULL
                THEN COALESCE(platforms.stopped_at, excluded.stopped_at) END,
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


def _save_forgetting(session: Session, note: notes.ForgetEvents, now: int) -> None:
    before = now - int(note.kept_for_s * _SECOND_US)
    span = {"first": note.first_bundle, "last": note.last_bundle, "before": before}
    bundles = [row[0] for row in session.rows(f"SELECT id FROM bundles WHERE {_OLD}", **span)]
    if not bundles:
        return
    # Nobody else marks or forgets them from here on.
    list(session.hold(schema.bundles, "SELECT id FROM bundles WHERE id IN (:ids) ORDER BY id", bundles))
    # What is counted is what was deleted.
    events = len(session.rows(f"DELETE FROM outbox WHERE id IN ({_FORGOTTEN}) RETURNING id", **span))
    moments = session.rows(f"DELETE FROM bundles WHERE id IN ({_EMPTY}) RETURNING created_at", **span)
    if not events:
        return
    until = max(moment for (moment,) in moments)
    earlier = session.rows("SELECT events, until FROM prunings WHERE id = 1")
    if earlier:
        ((events_before, until_before),) = earlier
        session.change(_PRUNINGS, [(events_before + events, max(until, until_before), 1, events_before, until_before)])
    else:
        session.insert(_NEW_PRUNINGS, [(1, events, until)])


_SAVES: Final[dict[type, Callable[[Session, Any, int], None]]] = {
    notes.NoteRejected: _save_rejected,
    notes.NoteAccepted: _save_accepted,
    notes.RetryEvents: _save_retry,
    notes.StartReplay: _save_replay_start,
    notes.NoteReplay: _save_replay,
    notes.ReportPlatform: _save_report,
    notes.ResumePlatform: _save_resumption,
    notes.ForgetEvents: _save_forgetting,
}
