"""Loading a batch's book from the database, and saving it.

Lock order: every batch loads, and thereby locks, rows in the same order of tables: orders, campaigns, coupons, users,
products, API keys, the relay's lease, the best sellers' version; within each table by id. It only changes rows that it
has locked, with two exceptions. Records of events by the leading relay and by operators: there the row that counts
purged events is locked before the event batches are. And the windows and buckets of the best sellers: they are only
written by the batch that has locked the version. Idempotency records are written last, in order of their keys. So
batches may wait for each other, but never in a cycle.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Table

from jangteo.core.book import Book, Command, Needs, Shelf
from jangteo.storage import (
    catalog_changes,
    coupons,
    health,
    keys,
    lease,
    orders,
    outbox,
    products,
    recorded,
    schema,
    wallets,
)
from jangteo.storage.best_sellers import deltas, windows
from jangteo.storage.port import Session


class Loading:
    """A book that is being loaded: all queries are sent at once where possible, since each costs a round trip."""

    def __init__(self, session: Session, commands: Iterable[Command], now: datetime) -> None:
        needs = Needs()
        for command in commands:
            command.name_needs(needs)
        self._book = book = Book(now)
        self._pending: list[tuple[Shelf[Any], Iterable[tuple[int, Any]]]] = []
        self._claims: Iterable[tuple[tuple[int, int], int]] = ()
        if needs.orders:
            book.orders.fill(orders.load(session, needs.orders))
            for order in book.orders.rows.values():
                needs.order(order)
        if needs.claimants:
            self._pending.append((book.campaigns, coupons.load_campaigns(session, needs, now)))
            self._claims = coupons.load_claims(session, needs.claimants)
        if needs.coupons:
            self._pending.append((book.coupons, coupons.load(session, needs.coupons)))
        if needs.users:
            self._pending.append((book.wallets, wallets.load(session, needs.users)))
        if needs.products:
            self._pending.append((book.products, products.load(session, needs.products)))
        self._load_upkeep(session, needs)
        _reserve_ids(session, book, needs)

    def _load_upkeep(self, session: Session, needs: Needs) -> None:
        """Load what no order needs."""
        book = self._book
        if needs.keys:
            self._pending.append((book.keys, keys.load(session, needs.keys)))
        if needs.relay_lease:
            self._pending.append((book.leases, lease.load(session)))
        if needs.view_version:
            self._pending.append((book.view_version, windows.load_version(session)))

    def book(self) -> Book:
        """Await the rows that the commands need and the ids for new ones."""
        for shelf, rows in self._pending:
            shelf.fill(rows)
        self._book.claims.update(self._claims)
        return self._book


def save_book(session: Session, book: Book) -> None:
    """Write every change of the book. Raises Conflict if a row is no longer as it was loaded."""
    wallets.save(session, book)
    products.save(session, book)
    coupons.save_campaigns(session, book)
    orders.save(session, book)
    coupons.save(session, book)
    wallets.save_ledger(session, book)
    catalog_changes.save(session, book)
    keys.save(session, book)
    outbox.save(session, book)
    deltas.save(session, book)
    health.save(session, book)
    lease.save(session, book)
    recorded.save(session, book)
    windows.save(session, book)


def _reserve_ids(session: Session, book: Book, needs: Needs) -> None:
    shelves: dict[Table, tuple[int, Shelf[Any]]] = {
        schema.users: (needs.new_users, book.wallets),
        schema.products: (needs.new_products, book.products),
        schema.campaigns: (needs.new_campaigns, book.campaigns),
        schema.coupons: (needs.new_coupons, book.coupons),
        schema.orders: (needs.new_orders, book.orders),
        schema.api_keys: (needs.new_keys, book.keys),
    }
    counts = {table: count for table, (count, _) in shelves.items() if count}
    if needs.new_entries:
        counts[schema.ledger_entries] = needs.new_entries
    events = needs.new_orders + len(needs.orders)
    if events:
        counts |= {schema.outbox: events, schema.event_batches: 1}
    if not counts:
        return
    new_ids = session.new_ids(counts)
    for table, (_, shelf) in shelves.items():
        shelf.new_ids = iter(new_ids.get(table, ()))
    book.new_entry_ids = iter(new_ids.get(schema.ledger_entries, ()))
    book.new_event_ids = iter(new_ids.get(schema.outbox, ()))
    book.new_event_batch_ids = iter(new_ids.get(schema.event_batches, ()))
