"""What was sold and given back, noted in the transactions of the orders themselves, until it is counted."""

from collections.abc import Iterable

import msgspec

from jangteo.core.book import Book
from jangteo.core.counting import sales_of
from jangteo.storage import schema
from jangteo.storage.port import Insert, Session
from jangteo.storage.timestamps import to_micros

_NEW_NOTES = Insert(schema.sales_deltas, ("ordered_at", "units"))
_encode = msgspec.json.Encoder().encode
_read = msgspec.json.Decoder(list[int]).decode


def save(session: Session, book: Book) -> None:
    """A note for each moment at which what was sold or given back had been ordered: nearly always one."""
    by_moment: dict[int, dict[int, int]] = {}
    for moment, order, sign in sales_of(book):
        units = by_moment.setdefault(to_micros(moment), {})
        for item in order.items:
            units[item.product_id] = units.get(item.product_id, 0) + sign * item.quantity
    if by_moment:
        session.insert(_NEW_NOTES, [(moment, _written(units)) for moment, units in by_moment.items()])


def add_up(sold: dict[int, int], notes: Iterable[str]) -> None:
    """Add what these notes say to what was sold of each product."""
    for note in notes:
        numbers = iter(_read(note))
        for product, units in zip(numbers, numbers, strict=True):
            sold[product] = sold.get(product, 0) + units


def _written(units: dict[int, int]) -> str:
    """Product, units, product, units, …: read back much faster than an object by name."""
    return _encode([number for pair in units.items() for number in pair]).decode()
