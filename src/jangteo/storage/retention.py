"""Retention: which event batches may be purged, and purging them.

The newest event batch is never purged, because new ids are counted on from it.
"""

from datetime import timedelta
from typing import Final, NamedTuple

from jangteo.core.relay import PurgeEvents
from jangteo.storage import schema
from jangteo.storage.port import GuardedChange, Session, Snapshot
from jangteo.storage.timestamps import to_micros

PURGE_CHUNK: Final = 256
"""A chunk looks at up to this many event batches and holds about this many events."""
_SECOND_US: Final = 1_000_000
_PURGED_COUNT = GuardedChange(schema.purged_events, ("events", "until"), ("events", "until"))
_LOCK_COUNT: Final = "SELECT id, events, until FROM purged_events WHERE id IN (:ids) ORDER BY id"
_LOCK_BATCHES: Final = """
    SELECT id, created_at, sent_at FROM event_batches
    WHERE id IN (:ids) AND id < (SELECT MAX(id) FROM event_batches) ORDER BY id
"""
_EVENTS: Final = """
    SELECT outbox.id, outbox.event_batch_id FROM event_batches CROSS JOIN outbox
    WHERE event_batches.id IN (:ids) AND outbox.id BETWEEN first_event AND last_event
        AND outbox.event_batch_id = event_batches.id
"""
_FAILED: Final = "SELECT id FROM failed_events WHERE id IN (:ids)"


class Purgeable(NamedTuple):
    """Event batches whose retention has passed, and the last one looked at."""

    event_batches: tuple[int, ...]
    looked_up_to: int


def read_purgeable(snapshot: Snapshot, after: int, retention: timedelta) -> Purgeable | None:
    """Return the next chunk of event batches with an id greater than `after`; None when the next one is too young."""
    rows = snapshot.rows(
        """
        SELECT id, last_event - first_event + 1, created_at, sent_at FROM event_batches
        WHERE id > :after AND id < (SELECT MAX(id) FROM event_batches)
        ORDER BY id LIMIT :count
        """,
        after=after,
        count=PURGE_CHUNK,
    )
    before, events, last, event_batches = to_micros(snapshot.now - retention), 0, 0, []
    for event_batch_id, size, created_at, sent_at in rows:
        if created_at >= before or events >= PURGE_CHUNK:
            break
        last = event_batch_id
        if sent_at is not None and sent_at < before:
            events += size
            event_batches.append(event_batch_id)
    return Purgeable(tuple(event_batches), last) if last else None


def save_purge(session: Session, command: PurgeEvents, now: int) -> None:
    """Delete event batches that were sent longer than the retention ago and have no failed event.

    The count row is locked before the event batches, so the count matches what was deleted, also with several relays.
    `now` is in microseconds.
    """
    before = now - int(command.retention_s * _SECOND_US)
    ((_, purged, until),) = session.lock(schema.purged_events, _LOCK_COUNT, [1])
    locked = session.lock(schema.event_batches, _LOCK_BATCHES, command.event_batches)
    created = {
        event_batch_id: created_at
        for event_batch_id, created_at, sent_at in locked
        if sent_at is not None and sent_at < before
    }
    batch_of: dict[int, int] = dict(session.find(_EVENTS, created)) if created else {}
    if not batch_of:
        return
    kept = {batch_of[outbox_id] for (outbox_id,) in session.find(_FAILED, batch_of)}
    events = [outbox_id for outbox_id, event_batch_id in batch_of.items() if event_batch_id not in kept]
    newest = max((at for event_batch_id, at in created.items() if event_batch_id not in kept), default=until)
    session.change(_PURGED_COUNT, [(purged + len(events), max(until, newest), 1, purged, until)])
    session.remove(schema.outbox, events)
    session.remove(schema.event_batches, [event_batch_id for event_batch_id in created if event_batch_id not in kept])
