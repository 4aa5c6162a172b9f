"""Buckets: the units of 128 products with neighbouring ids are one row, a list of numbers found by its largest.

So a refresh changes one row per bucket, however much was sold, and the best sellers are in the first buckets when these
are sorted by their largest number. The stored format and all SQL of `best_seller_buckets` are here.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from jangteo.core.entities import Bucket, Refresh
from jangteo.core.limits import LARGEST
from jangteo.storage import schema
from jangteo.storage.port import GuardedChange, Insert, Row, Session, Snapshot

PRODUCTS_PER_BUCKET: Final = 128

Units = Sequence[int]
"""The units of each product of a bucket, in order of id. Zeros at the end are left out."""

# A row's id is the window's id and the bucket's number. A product's id is below 2^53, so a number is below 2^46. It
# counts down, so that of ties an index read from its end finds the bucket with the lower products first.
_NUMBER_BITS: Final = 46
_LARGEST_NUMBER: Final = 2**_NUMBER_BITS - 1
_NEW_BUCKETS: Final = Insert(schema.best_seller_buckets, ("id", "window_id", "max_units", "units"))
_CHANGED_BUCKETS: Final = GuardedChange(schema.best_seller_buckets, ("max_units", "units"), ())
_LEADING: Final = """
    SELECT id, units FROM best_seller_buckets
    WHERE window_id = :window_id ORDER BY max_units DESC, id DESC LIMIT :count
"""
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[int]).decode


def bucket_of(product: int) -> int:
    """The number of a product's bucket."""
    return product // PRODUCTS_PER_BUCKET


def units_of(units: Units, product: int) -> int:
    """The units of a product, given those of its bucket."""
    index = product % PRODUCTS_PER_BUCKET
    return units[index] if index < len(units) else 0


def units_by_product(number: int, units: Units) -> Iterable[tuple[int, int]]:
    """Each product of a bucket, with its units."""
    return enumerate(units, number * PRODUCTS_PER_BUCKET)


def apply_changes(units: Units, changes: Iterable[tuple[int, int]]) -> list[int]:
    """The units of a bucket after these changes: pairs of a product and its change."""
    changed = [*units, *([0] * (PRODUCTS_PER_BUCKET - len(units)))]
    for product, change in changes:
        changed[product % PRODUCTS_PER_BUCKET] += change
    while changed and not changed[-1]:
        changed.pop()
    return changed


def bounded_max(units: Units) -> int:
    """The largest of a bucket's units as it is stored: at least 0, and 2^53 - 1 at most, as in every answer."""
    return min(max(max(units, default=0), 0), LARGEST)


def encode(window_id: int, number: int, units: Units) -> Bucket:
    """A bucket with these units."""
    return Bucket(window_id, number, bounded_max(units), _encode(units).decode())


def group_by_bucket(changes: Mapping[int, int]) -> dict[int, list[tuple[int, int]]]:
    """Changes by product, grouped by the numbers of their buckets."""
    groups: dict[int, list[tuple[int, int]]] = {}
    for product, change in changes.items():
        if change:
            groups.setdefault(bucket_of(product), []).append((product, change))
    return groups


def save(session: Session, refresh: Refresh) -> None:
    """Write the buckets that a refresh adds, changes and removes."""
    if refresh.new_buckets:
        new = [(_id(*_key(each)), each.window_id, each.max_units, each.units) for each in refresh.new_buckets]
        session.insert(_NEW_BUCKETS, new)
    if refresh.changed_buckets:
        changed = [(each.max_units, each.units, _id(*_key(each))) for each in refresh.changed_buckets]
        session.change(_CHANGED_BUCKETS, changed)
    if refresh.removed_buckets:
        session.remove(schema.best_seller_buckets, [_id(*key) for key in refresh.removed_buckets])


def read_buckets(snapshot: Snapshot, window_id: int, numbers: Collection[int]) -> dict[int, Units]:
    """Read these buckets of a window by number, as far as they exist."""
    if not numbers:
        return {}
    ids = [_id(window_id, number) for number in numbers]
    return decode_rows(snapshot.find("SELECT id, units FROM best_seller_buckets WHERE id IN (:ids)", ids))


def send_leading(snapshot: Snapshot, window_id: int, count: int) -> Iterable[Row]:
    """Send for the buckets with the largest numbers of units, best first; see `decode_rows`."""
    return snapshot.send(_LEADING, window_id=window_id, count=count)


def decode_rows(rows: Iterable[Row]) -> dict[int, Units]:
    """The units of buckets by number, from rows of (id, units), in the rows' order."""
    return {_number(bucket_id): _decode(units) for bucket_id, units in rows}


def read_units(snapshot: Snapshot, window_id: int) -> dict[int, int]:
    """Read the units of each product by all buckets of a window."""
    rows = snapshot.rows("SELECT id, units FROM best_seller_buckets WHERE window_id = :window_id", window_id=window_id)
    return {
        product: count
        for number, units in decode_rows(rows).items()
        for product, count in units_by_product(number, units)
        if count
    }


def read_max_units(snapshot: Snapshot, window_id: int) -> list[tuple[int, int, int]]:
    """Read for each bucket of a window its number, its stored `max_units`, and what that should be."""
    rows = snapshot.rows(
        "SELECT id, max_units, units FROM best_seller_buckets WHERE window_id = :window_id", window_id=window_id
    )
    return [(_number(bucket_id), stored, bounded_max(_decode(units))) for bucket_id, stored, units in rows]


def read_numbers(snapshot: Snapshot, window_id: int, count: int) -> list[int]:
    """Read the numbers of any buckets of a window, `count` at most."""
    sql = "SELECT id FROM best_seller_buckets WHERE window_id = :window_id LIMIT :count"
    return [_number(row[0]) for row in snapshot.rows(sql, window_id=window_id, count=count)]


def _key(bucket: Bucket) -> tuple[int, int]:
    return bucket.window_id, bucket.number


def _id(window_id: int, number: int) -> int:
    return window_id << _NUMBER_BITS | _LARGEST_NUMBER - number


def _number(bucket_id: int) -> int:
    return _LARGEST_NUMBER - (bucket_id & _LARGEST_NUMBER)
