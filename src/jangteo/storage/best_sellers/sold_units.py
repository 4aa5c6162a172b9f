"""What the orders of a span of time have sold: what has left a window, and what a backfill adds."""

from collections.abc import Iterable
from typing import Final

from jangteo.core.limits import LARGEST
from jangteo.storage.port import Row, Snapshot
from jangteo.storage.sums import HALF, bounded_sum, halves

ORDERS_PER_CHUNK: Final = 5_000
"""About how many orders a refresh takes out, or a backfill reads, at once."""
LATEST: Final = 2**62
"""Later than any timestamp: another server's clock may have placed an order a little later than now."""

_CHUNK = """
    SELECT COUNT(*), MAX(created_at) FROM (
        SELECT created_at FROM orders WHERE created_at > :since AND created_at <= :until
        ORDER BY created_at LIMIT :count
    ) AS chunk
"""
_BOUNDED: Final = bounded_sum("quantity", LARGEST + 1)
_HALVES: Final = halves("quantity")
_SALES: Final = """
    FROM orders JOIN order_items ON order_items.order_id = orders.id
    WHERE created_at > :since AND created_at <= :until AND status = 'paid'
    GROUP BY product_id
"""
_SOLD: Final = f"SELECT product_id, {_BOUNDED} {_SALES}"
_SOLD_BEYOND: Final = f"SELECT product_id, {_HALVES} {_SALES}"


def find_chunk(snapshot: Snapshot, since: int, until: int) -> tuple[int, int, bool]:
    """Find the end of the next chunk of orders after `since`: (end, number of orders, whether more may follow).

    Times are microseconds. Orders of one microsecond belong to one chunk, so the chunk may have a few more.
    """
    count, last = snapshot.rows(_CHUNK, since=since, until=until, count=ORDERS_PER_CHUNK)[0]
    return (last, count, True) if count == ORDERS_PER_CHUNK else (until, count, False)


def read_sold_units(snapshot: Snapshot, since: int, until: int) -> list[Row]:
    """Read (product, units) sold by the paid orders later than `since`, up to `until` (microseconds)."""
    rows = snapshot.rows(_SOLD, since=since, until=until)
    if all(units <= LARGEST for _, units in rows):
        return rows
    # Two sums for each product take up to a third more time.
    return [
        (product, high * HALF + low) for product, high, low in snapshot.rows(_SOLD_BEYOND, since=since, until=until)
    ]


def add_units(sums: dict[int, int], units: Iterable[Row], sign: int) -> None:
    """Add (or with a `sign` of -1 subtract) units by product."""
    for product, count in units:
        sums[product] = sums.get(product, 0) + sign * count
