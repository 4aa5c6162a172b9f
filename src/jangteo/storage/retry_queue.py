"""The retry queue: events that the platform rejected, when each is sent again, and which are dead letters.

A failed event without a next attempt is a dead letter.
"""

from typing import Final, NamedTuple

from jangteo.core.relay import RecordDelivered, RecordFailures, RetryEvents
from jangteo.storage.port import Session, Snapshot
from jangteo.storage.timestamps import to_micros

_SECOND_US: Final = 1_000_000


class DueRetry(NamedTuple):
    """A failed event whose next attempt is due."""

    outbox_id: int
    order_id: int
    attempts: int
    text: str


def read_pending(snapshot: Snapshot) -> list[tuple[int, int]]:
    """Return (order id, outbox id) of every event that has a next attempt, due or not."""
    rows = snapshot.rows("SELECT order_id, id FROM failed_events WHERE next_attempt_at IS NOT NULL")
    return [(order_id, outbox_id) for order_id, outbox_id in rows]


def read_due_retries(snapshot: Snapshot, limit: int) -> list[DueRetry]:
    """Return at most `limit` due events, longest overdue first; of each order only the earliest pending one."""
    rows = snapshot.rows(
        """
        SELECT failed_events.id, failed_events.order_id, attempts, event
        FROM failed_events JOIN outbox ON outbox.id = failed_events.id
        WHERE next_attempt_at <= :now AND NOT EXISTS (
            SELECT 1 FROM failed_events AS earlier
            WHERE earlier.order_id = failed_events.order_id AND earlier.id < failed_events.id
                AND earlier.next_attempt_at IS NOT NULL
        )
        ORDER BY next_attempt_at, failed_events.id LIMIT :count
        """,
        now=to_micros(snapshot.now),
        count=limit,
    )
    return [DueRetry(*row) for row in rows]


def read_dead_letters(snapshot: Snapshot, limit: int) -> list[int]:
    """Return the outbox ids of the oldest dead letters, at most `limit`."""
    rows = snapshot.rows(
        "SELECT id FROM failed_events WHERE next_attempt_at IS NULL ORDER BY id LIMIT :count", count=limit
    )
    return [outbox_id for (outbox_id,) in rows]


def save_failures(session: Session, command: RecordFailures, now: int) -> None:
    """Add or update failed events; one that is no longer in the outbox is ignored. `now` is in microseconds."""
    for event in command.events:
        session.run(
            """
            INSERT INTO failed_events (id, order_id, attempts, reason, failed_at, next_attempt_at)
            SELECT outbox.id, :order, :attempts, :reason, :now, CAST(:next AS BIGINT) FROM outbox WHERE outbox.id = :id
            ON CONFLICT (id) DO UPDATE SET attempts = excluded.attempts, reason = excluded.reason,
                failed_at = excluded.failed_at, next_attempt_at = excluded.next_attempt_at
            """,
            id=event.outbox_id,
            order=event.order_id,
            attempts=event.attempts,
            reason=event.reason,
            now=now,
            next=None if event.next_attempt_in_s is None else now + int(event.next_attempt_in_s * _SECOND_US),
        )


def save_delivered(session: Session, command: RecordDelivered, _now: int) -> None:
    """Remove delivered events from the retry queue."""
    for outbox_id in command.outbox_ids:
        session.run("DELETE FROM failed_events WHERE id = :id", id=outbox_id)


def save_retries(session: Session, command: RetryEvents, now: int) -> None:
    """Make failed events due now and reset their attempts. `now` is in microseconds."""
    for outbox_id in command.outbox_ids:
        session.run(
            "UPDATE failed_events SET attempts = 0, next_attempt_at = :now WHERE id = :id", id=outbox_id, now=now
        )
