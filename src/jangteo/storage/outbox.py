"""Events on their way to the data platform, and how far it has been told.

An event is stored as it is sent, CloudEvents 1.0 in JSON without a line break: however often and however late it is
sent, it is the same.
"""

from datetime import datetime
from typing import Final

from msgspec import Struct
from msgspec.json import Encoder

from jangteo.core.book import Book
from jangteo.core.events import Event
from jangteo.core.rows import Order
from jangteo.storage import schema
from jangteo.storage.port import Insert, Session, Snapshot, Texts

SOURCE: Final = "/jangteo"

_NEW_EVENTS = Insert(schema.outbox, ("order_id", "type", "event"))
_encode = Encoder().encode


class CloudEvent(Struct, frozen=True):
    """An event with the attributes that CloudEvents 1.0 names."""

    specversion: str
    id: str
    source: str
    type: str
    subject: str
    time: datetime
    datacontenttype: str
    data: Order


def save(session: Session, book: Book) -> None:
    """The events of the batch, in the order they happened."""
    if book.events:
        session.insert(
            _NEW_EVENTS,
            [(event.order.order_id, event.type, _encode(_envelope(event)).decode()) for event in book.events],
        )


def read_waiting(snapshot: Snapshot, position: int, limit: int) -> Texts | None:
    """The next events behind a position, one JSON text a line; None where there are none."""
    return snapshot.texts(
        "SELECT id, event AS text FROM outbox WHERE id > :position ORDER BY id LIMIT :count",
        position=position,
        count=limit,
    )


def read_position(snapshot: Snapshot, platform: str) -> int:
    """Up to where a platform has been told; 0 at first."""
    rows = snapshot.rows("SELECT position FROM relay_positions WHERE platform = :platform", platform=platform)
    return int(rows[0][0]) if rows else 0


def _envelope(event: Event) -> CloudEvent:
    return CloudEvent(
        specversion="1.0",
        id=event.id,
        source=SOURCE,
        type=event.type,
        subject=str(event.order.order_id),
        time=event.happened_at,
        datacontenttype="application/json",
        data=event.order,
    )
