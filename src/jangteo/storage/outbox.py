"""Events on their way to the data platform, and how far it has been told.

An event is stored as it is sent, CloudEvents 1.0 in JSON without a line break: however often and however late it is
sent, it is the same.
"""

from datetime import datetime
from typing import Final, NamedTuple

from msgspec import Struct
from msgspec.json import Encoder

from jangteo.core.book import Book
from jangteo.core.events import Event
from jangteo.core.rows import Order
from jangteo.storage import schema
from jangteo.storage.moments import micros
from jangteo.storage.port import GuardedChange, Insert, Session, Snapshot

SOURCE: Final = "/jangteo"

_NEW_EVENTS = Insert(schema.outbox, ("id", "bundle_id", "order_id", "type", "event"))
_NEW_BUNDLES = Insert(schema.bundles, ("id", "first_event", "last_event"))
_SENT = GuardedChange(schema.bundles, ("sent_at",), ())
# Bundle by bundle, which CROSS JOIN says to SQLite: it would rather look through the whole outbox.
_EVENTS = """
    SELECT outbox.id AS id, outbox.event AS text
    FROM bundles CROSS JOIN outbox
    WHERE bundles.id IN (:ids) AND outbox.id BETWEEN first_event AND last_event AND outbox.bundle_id = bundles.id
"""
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


class Waiting(NamedTuple):
    """Events that wait to be sent, in order: one JSON text a line; and the bundles that they are."""

    lines: str
    bundles: tuple[int, ...]


def save(session: Session, book: Book) -> None:
    """The events of the batch, in the order they happened, as one bundle; and which bundles have been sent."""
    if book.events:
        bundle_id = next(book.new_bundle_ids)
        rows = [
            (next(book.new_event_ids), bundle_id, event.order.order_id, event.type, _encode(_envelope(event)).decode())
            for event in book.events
        ]
        session.insert(_NEW_EVENTS, rows)
        session.insert(_NEW_BUNDLES, [(bundle_id, rows[0][0], rows[-1][0])])
    if book.upkeep.sent_bundles:
        at = micros(book.now)
        # Each once, also where two that marked it have come into one batch.
        session.change(_SENT, [(at, bundle_id) for bundle_id in sorted(set(book.upkeep.sent_bundles))])


def read_waiting(snapshot: Snapshot, sent: frozenset[int], limit: int) -> Waiting | None:
    """Events that wait to be sent, the oldest bundles first; None where none wait but those `sent` and not yet marked.

    At most `limit` events, but always a whole bundle.
    """
    rows = snapshot.rows(
        """
        SELECT id, last_event - first_event + 1 FROM bundles
        WHERE sent_at IS NULL ORDER BY id LIMIT :count
        """,
        count=limit + len(sent),
    )
    bundles: list[int] = []
    events = 0
    for bundle_id, size in rows:
        if bundle_id in sent:
            continue
        events += size
        if bundles and events > limit:
            break
        bundles.append(bundle_id)
    if not bundles:
        return None
    return Waiting(snapshot.lines(_EVENTS, bundles), tuple(bundles))


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
