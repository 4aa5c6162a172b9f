"""Events on their way to the data platform, and how far each platform has been told."""

from datetime import datetime
from typing import NamedTuple

from msgspec.json import Encoder

from jangteo.core.book import Book
from jangteo.storage import schema
from jangteo.storage.moments import micros, moment
from jangteo.storage.port import Insert, Session, Snapshot

_NEW_EVENTS = Insert(schema.outbox, ("event_id", "order_id", "type", "data", "happened_at"))
_encode = Encoder().encode


class StoredEvent(NamedTuple):
    """An event as it was written in its order's transaction; `data` is the order as JSON."""

    position: int
    event_id: str
    order_id: int
    type: str
    data: str
    happened_at: datetime


def save(session: Session, book: Book) -> None:
    """The events of the batch, in the order they happened."""
    if book.events:
        at = micros(book.now)
        session.insert(
            _NEW_EVENTS,
            [(event.id, event.order.order_id, event.type, _encode(event.order).decode(), at) for event in book.events],
        )


def read_waiting(snapshot: Snapshot, position: int, limit: int) -> list[StoredEvent]:
    """The next events behind a position."""
    rows = snapshot.rows(
        """
        SELECT id, event_id, order_id, type, data, happened_at FROM outbox
        WHERE id > :position ORDER BY id LIMIT :count
        """,
        position=position,
        count=limit,
    )
    return [
        StoredEvent(position, event_id, order_id, kind, data, moment(happened_at))
        for position, event_id, order_id, kind, data, happened_at in rows
    ]


def read_position(snapshot: Snapshot, platform: str) -> int:
    """Up to where a platform has been told; 0 at first."""
    rows = snapshot.rows("SELECT position FROM relay_positions WHERE platform = :platform", platform=platform)
    return int(rows[0][0]) if rows else 0
