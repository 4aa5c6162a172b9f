"""Deltas: what each transaction sold and gave back, written with its orders and not yet part of the view.

A row (id, ordered_at, units) belongs to the orders of one transaction and one timestamp. All SQL of `sales_deltas` is
here.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from jangteo.core.best_sellers import sales_of
from jangteo.core.book import Book
from jangteo.storage import schema
from jangteo.storage.port import Insert, Row, Session, Snapshot
from jangteo.storage.timestamps import to_micros

COUNT_UP_TO: Final = "(SELECT COUNT(*) FROM (SELECT id FROM sales_deltas ORDER BY id LIMIT :count) AS deltas)"
"""How many deltas wait, `:count` at most, as a part of another query."""

_NEW_DELTAS: Final = Insert(schema.sales_deltas, ("ordered_at", "units"))
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[int]).decode


def save(session: Session, book: Book) -> None:
    """Write what a batch sold and gave back: a delta for each time of ordering, nearly always one."""
    by_time: dict[int, dict[int, int]] = {}
    for ordered_at, order, sign in sales_of(book):
        units = by_time.setdefault(to_micros(ordered_at), {})
        for item in order.items:
            units[item.product_id] = units.get(item.product_id, 0) + sign * item.quantity
    if by_time:
        session.insert(_NEW_DELTAS, [(ordered_at, _stored(units)) for ordered_at, units in by_time.items()])


def remove(session: Session, ids: tuple[int, ...]) -> None:
    """Delete deltas that the view contains now."""
    if ids:
        session.remove(schema.sales_deltas, ids)


def read_oldest(snapshot: Snapshot, count: int) -> Iterable[Row]:
    """Read the oldest deltas, `count` at most. The rows may be awaited only when they are iterated."""
    return snapshot.send("SELECT id, ordered_at, units FROM sales_deltas ORDER BY id LIMIT :count", count=count)


def read_later_than(snapshot: Snapshot, since: int) -> list[Row]:
    """Read the deltas of orders placed later than `since` (microseconds)."""
    return snapshot.rows("SELECT id, ordered_at, units FROM sales_deltas WHERE ordered_at > :since", since=since)


def read_all(snapshot: Snapshot) -> list[Row]:
    """Read all deltas."""
    return snapshot.rows("SELECT id, ordered_at, units FROM sales_deltas")


def sum_units(deltas: Iterable[Row], since: int) -> dict[int, int]:
    """Sum the units by product of those deltas whose orders were placed later than `since` (microseconds)."""
    sums: dict[int, int] = {}
    for _, ordered_at, units in deltas:
        if ordered_at > since:
            numbers = iter(_decode(units))
            for product, count in zip(numbers, numbers, strict=True):
                sums[product] = sums.get(product, 0) + count
    return sums


def _stored(units: dict[int, int]) -> str:
    """Product, units, product, units, …: decodes much faster than an object with names."""
    return _encode([number for pair in units.items() for number in pair]).decode()
