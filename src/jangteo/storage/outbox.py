"""Events on their way to the data platform, and how far it has been told.

An event is stored as it is sent, CloudEvents 1.0 in JSON without a line break: however often and however late it is
sent, it is the same.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Final, NamedTuple

from msgspec import Struct
from msgspec.json import Encoder

from jangteo.core.book import Book
from jangteo.core.entities import Order
from jangteo.core.events import Event
from jangteo.storage import schema
from jangteo.storage.port import GuardedChange, Insert, Row, Session, Snapshot
from jangteo.storage.timestamps import to_micros

_SHOP: Final = "SELECT name FROM shops WHERE id = 1"
_NEW_EVENTS = Insert(schema.outbox, ("id", "event_batch_id", "order_id", "type", "event"))
_NEW_BATCHES = Insert(schema.event_batches, ("id", "first_event", "last_event", "created_at"))
_SENT = GuardedChange(schema.event_batches, ("sent_at",), ())
# Bundle by event_batch, which CROSS JOIN says to SQLite: it would rather look through the whole outbox.
_EVENTS = """
    SELECT outbox.id AS id, outbox.event AS text
    FROM event_batches CROSS JOIN outbox
    WHERE event_batches.id IN (:ids) AND outbox.id BETWEEN first_event AND last_event AND outbox.event_batch_id = event_batches.id
"""
_NOT_REJECTED = f"{_EVENTS} AND NOT EXISTS (SELECT 1 FROM failed_events WHERE failed_events.id = outbox.id)"
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


class EventBatches(NamedTuple):
    """Events to be sent, in order: one JSON text a line; and the event_batches that they are."""

    lines: str
    event_batches: tuple[int, ...]


def save(session: Session, book: Book) -> None:
    """The events of the batch, in the order they happened, as one event_batch; and which event_batches have been sent."""
    if book.events:
        shop: str = session.constant(_SHOP)[0][0]
        event_batch_id = next(book.new_event_batch_ids)
        rows = [
            (
                next(book.new_event_ids),
                event_batch_id,
                event.order.order_id,
                event.type,
                _encode(cloud_event(shop, event)).decode(),
            )
            for event in book.events
        ]
        session.insert(_NEW_EVENTS, rows)
        session.insert(_NEW_BATCHES, [(event_batch_id, rows[0][0], rows[-1][0], to_micros(book.now))])
    if book.sent_event_batches:
        at = to_micros(book.now)
        # Each once, also where two that marked it have come into one batch.
        session.change(_SENT, [(at, event_batch_id) for event_batch_id in sorted(set(book.sent_event_batches))])


def read_waiting(snapshot: Snapshot, sent: frozenset[int], limit: int) -> EventBatches | None:
    """Events that wait to be sent, the oldest event_batches first; None where none wait but those `sent` and not yet marked.

    At most `limit` events, but always a whole event_batch.
    """
    sizes = snapshot.rows(
        """
        SELECT id, last_event - first_event + 1 FROM event_batches
        WHERE sent_at IS NULL ORDER BY id LIMIT :count
        """,
        count=limit + len(sent),
    )
    event_batches = _up_to(
        limit, [(event_batch_id, size) for event_batch_id, size in sizes if event_batch_id not in sent]
    )
    return EventBatches(snapshot.lines(_EVENTS, event_batches), event_batches) if event_batches else None


def read_sent(
    snapshot: Snapshot, span: tuple[datetime, datetime], after: int, last: int, limit: int
) -> EventBatches | None:
    """Events of a span of time that were sent, from the event_batch behind `after` to `last`; None where there are no more.

    Without those that the platform has rejected. At most `limit` events, but always a whole event_batch.
    """
    since, until = span
    sizes = snapshot.rows(
        """
        SELECT id, last_event - first_event + 1 FROM event_batches
        WHERE id > :after AND id <= :last AND created_at >= :since AND created_at < :until AND sent_at IS NOT NULL
        ORDER BY id LIMIT :count
        """,
        after=after,
        last=last,
        since=to_micros(since),
        until=to_micros(until),
        count=limit,
    )
    event_batches = _up_to(limit, sizes)
    return EventBatches(snapshot.lines(_NOT_REJECTED, event_batches), event_batches) if event_batches else None


def read_outbox_ids(snapshot: Snapshot, event_batches: tuple[int, ...], *, without_rejected: bool = False) -> list[int]:
    """The places in the outbox of the events of these event_batches, in order."""
    events = _NOT_REJECTED if without_rejected else _EVENTS
    places = events.replace("outbox.event AS text", "CAST(outbox.id AS TEXT) AS text")
    return [int(place) for place in snapshot.lines(places, event_batches).splitlines()]


def read_outbox_ids_of_sent(snapshot: Snapshot, event_batches: tuple[int, ...]) -> list[int]:
    """The places in the outbox of the events of these event_batches that `read_sent` finds, in order."""
    return read_outbox_ids(snapshot, event_batches, without_rejected=True)


def _up_to(limit: int, sizes: Iterable[Row]) -> tuple[int, ...]:
    """The first event_batches of so many events together; at least one, where there is any."""
    event_batches: list[int] = []
    events = 0
    for event_batch_id, size in sizes:
        events += size
        if event_batches and events > limit:
            break
        event_batches.append(event_batch_id)
    return tuple(event_batches)


def cloud_event(shop: str, event: Event) -> CloudEvent:
    """An event of the shop of this name, as it is sent."""
    return CloudEvent(
        specversion="1.0",
        # Platforms that know an event by its id alone must not take one shop's for another's.
        id=f"{shop}-{event.id}",
        source=f"/jangteo/{shop}",
        type=event.type,
        subject=str(event.order.order_id),
        time=event.happened_at,
        datacontenttype="application/json",
        data=event.order,
    )
