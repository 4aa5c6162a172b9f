"""A batch's working set, from the database and back.

Rows are loaded, and so held, in one order everywhere: orders, campaigns, coupons, users, products, the relay's turn,
the counting's tally, each by id. What is written has been held before, but for what the relay whose turn it is and
operators have noted of events: the count of what is purged is held before the event_batches are; and for the windows of
the best sellers and their pages, which whoever holds the tally may write. Keys of answers come last, in order. Two
batches can wait for each other, but never in a circle.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Table

from jangteo.core.book import Book, Command, Needs, Shelf
from jangteo.storage import coupons, deliveries, orders, outbox, products, schema, upkeep, wallets
from jangteo.storage.best_sellers import deltas, windows
from jangteo.storage.port import Session


class Loading:
    """The working set of a batch, asked for: all in one go where that can be, since each costs a way to the server."""

    def __init__(self, session: Session, commands: Iterable[Command], now: datetime) -> None:
        needs = Needs()
        for command in commands:
            command.name_needs(needs)
        self._book = book = Book(now)
        self._asked: list[tuple[Shelf[Any], Iterable[tuple[int, Any]]]] = []
        self._claims: Iterable[tuple[tuple[int, int], int]] = ()
        if needs.orders:
            book.orders.fill(orders.load(session, needs.orders))
            for order in book.orders.rows.values():
                needs.order(order)
        if needs.claimants:
            self._asked.append((book.campaigns, coupons.load_campaigns(session, needs, now)))
            self._claims = coupons.load_claims(session, needs.claimants)
        if needs.coupons:
            self._asked.append((book.coupons, coupons.load(session, needs.coupons)))
        if needs.users:
            self._asked.append((book.wallets, wallets.load(session, needs.users)))
        if needs.products:
            self._asked.append((book.products, products.load(session, needs.products)))
        if needs.relay_lease:
            self._asked.append((book.leases, upkeep.load_leases(session)))
        if needs.view_version:
            self._asked.append((book.view_version, windows.load_version(session)))
        _reserve_ids(session, book, needs)

    def book(self) -> Book:
        """All that the commands name, and the ids that they may give to new rows; awaited."""
        for shelf, rows in self._asked:
            shelf.fill(rows)
        self._book.claims.update(self._claims)
        return self._book


def save_book(session: Session, book: Book) -> None:
    """Write all that has changed. Raises Conflict where a row is no longer as it was loaded."""
    wallets.save(session, book)
    products.save(session, book)
    coupons.save_campaigns(session, book)
    orders.save(session, book)
    coupons.save(session, book)
    wallets.save_ledger(session, book)
    outbox.save(session, book)
    deltas.save(session, book)
    upkeep.save(session, book)
    deliveries.save(session, book)
    windows.save(session, book)


def _reserve_ids(session: Session, book: Book, needs: Needs) -> None:
    shelves: dict[Table, tuple[int, Shelf[Any]]] = {
        schema.users: (needs.new_users, book.wallets),
        schema.products: (needs.new_products, book.products),
        schema.campaigns: (needs.new_campaigns, book.campaigns),
        schema.coupons: (needs.new_coupons, book.coupons),
        schema.orders: (needs.new_orders, book.orders),
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
