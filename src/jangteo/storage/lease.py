"""The relay's lease in the database."""

from collections.abc import Iterable

from jangteo.core.book import Book
from jangteo.core.entities import Lease
from jangteo.core.relay import RELAY_LEASE
from jangteo.storage import schema
from jangteo.storage.port import GuardedChange, Insert, Session
from jangteo.storage.timestamps import from_micros, to_micros

_NEW_LEASES = Insert(schema.leases, ("id", "holder", "expires_at"))
_LEASES = GuardedChange(schema.leases, ("holder", "expires_at"), ("holder", "expires_at"))


def load(session: Session) -> Iterable[tuple[int, Lease]]:
    """Lock and return the relay's lease, if any relay has ever acquired it."""
    sql = "SELECT id, holder, expires_at FROM leases WHERE id IN (:ids) ORDER BY id"
    rows = session.lock(schema.leases, sql, [RELAY_LEASE])
    return ((row[0], Lease(row[0], row[1], from_micros(row[2]))) for row in rows)


def save(session: Session, book: Book) -> None:
    """Write the lease if the batch changed it. Raises Conflict when it is no longer as it was loaded."""
    added = book.leases.added()
    if added:
        session.insert(_NEW_LEASES, [(lease.lease_id, lease.holder, to_micros(lease.expires_at)) for lease in added])
    replaced = book.leases.replaced()
    if replaced:
        session.change(
            _LEASES,
            [
                (after.holder, to_micros(after.expires_at), after.lease_id, before.holder, to_micros(before.expires_at))
                for before, after in replaced
            ],
        )
