"""Reading the best sellers: from the view, or counted from the orders. Both are exact as of their snapshot.

A window's buckets contain what was sold later than its `since`, as far as it is refreshed. The query adds the deltas
that wait, and subtracts what has left the window since.
"""

from collections.abc import Iterable
from threading import Lock
from typing import Final, NamedTuple

from jangteo.core.best_sellers import MAX_BEST, window_start
from jangteo.core.entities import BestSeller
from jangteo.core.limits import LARGEST
from jangteo.storage.best_sellers import deltas
from jangteo.storage.best_sellers.buckets import decode_rows, read_buckets, send_leading
from jangteo.storage.best_sellers.ranking import Leading, Ranking
from jangteo.storage.port import AsOf, Row, Snapshot
from jangteo.storage.sums import bounded_sum
from jangteo.storage.timestamps import to_micros

MAX_CHANGES: Final = 10_000
"""With as many waiting deltas, or orders that have left a window, counting the orders is cheaper than adding up."""
CACHED_RANKINGS: Final = 32
_SPARE_BUCKETS: Final = 3
"""Read beyond those that the best can be in, since products of some may have left the window."""

_SOLD: Final = bounded_sum("order_items.quantity", LARGEST)
_DIRECT: Final = f"""
    SELECT products.id, products.name, products.price, products.stock, best.sold
    FROM (
        SELECT order_items.product_id AS product_id, {_SOLD} AS sold
        FROM orders JOIN order_items ON order_items.order_id = orders.id
        WHERE orders.created_at > :since AND orders.status = 'paid'
        GROUP BY order_items.product_id
        ORDER BY sold DESC, product_id LIMIT :count
    ) AS best
    JOIN products ON products.id = best.product_id
    ORDER BY best.sold DESC, products.id
"""

# How far the window is refreshed, and how much there is to add. The limits also tell the database that there are few
# rows: it looks them up by their keys instead of scanning the table.
_STATE: Final = f"""
    SELECT best_seller_windows.id, since, version, {deltas.COUNT_UP_TO},
        (SELECT COUNT(*) FROM (
            SELECT id FROM orders WHERE created_at > since AND created_at <= :until AND status = 'paid' LIMIT :count
        ) AS departed),
        (SELECT COUNT(*) FROM (
            SELECT id FROM orders WHERE created_at > :until AND created_at <= since AND status = 'paid' LIMIT :count
        ) AS returned)
    FROM best_seller_windows CROSS JOIN best_seller_version WHERE days = :days AND state = 'active'
    ORDER BY best_seller_windows.id LIMIT 1
"""
_ITEMS: Final = """
    SELECT product_id, quantity
    FROM (
        SELECT id FROM orders WHERE created_at > :since AND created_at <= :until AND status = 'paid' LIMIT :count
    ) AS moved JOIN order_items ON order_items.order_id = moved.id
"""
_PRODUCTS: Final = "SELECT id, name, price, stock FROM products WHERE id IN (:ids)"


class _State(NamedTuple):
    """All that a ranking depends on, in numbers."""

    window_id: int
    since: int
    version: int
    deltas: int
    departed: int
    """Orders that have left the window since."""
    returned: int
    """Orders that are in the window again, since another server's clock was ahead of this one."""


class _Ranked(NamedTuple):
    """The ranking in a state. An equal state has the same one.

    Only a refresh writes buckets and removes deltas, and a cancelled order adds a delta. So equal numbers of departed
    or returned orders are the same orders.
    """

    state: _State
    leading: Leading
    best: list[tuple[int, int]]


class BestSellersView:
    """Reads the best sellers from the view, and caches rankings while nothing changes that they depend on.

    Any number of threads may use one instance.
    """

    def __init__(self) -> None:
        self._cache: dict[tuple[int, int, int], _Ranked] = {}
        self._lock = Lock()

    def read(self, snapshot: Snapshot, limit: int, days: int) -> AsOf[list[BestSeller]] | None:
        """Read the best sellers of the window that ends now, best first.

        None if no active window of `days` days can answer, or too much waits to be added up.
        """
        until = to_micros(window_start(snapshot.now, days))
        key = snapshot.connection_id, limit, days
        ranked = self._cache.get(key)
        # Both statements are sent together.
        found = snapshot.send(_STATE, days=days, until=until, count=MAX_CHANGES)
        products = snapshot.find(_PRODUCTS, [product for product, _ in ranked.best]) if ranked else ()
        state = next((_State(*row) for row in found), None)
        if state is None or max(state.deltas, state.departed, state.returned) == MAX_CHANGES:
            return None
        by_id = {row[0]: row for row in products}
        if ranked is None or ranked.state != state:
            ranked = _rank(snapshot, state, until, limit, ranked)
            self._store(key, ranked)
            if any(product not in by_id for product, _ in ranked.best):
                by_id = {row[0]: row for row in snapshot.find(_PRODUCTS, [product for product, _ in ranked.best])}
        # An id without a product is left out, as it is by the direct query.
        return AsOf(snapshot.now, [_best_seller(by_id[each], units) for each, units in ranked.best if each in by_id])

    def _store(self, key: tuple[int, int, int], ranked: _Ranked) -> None:
        with self._lock:
            if len(self._cache) >= CACHED_RANKINGS:
                self._cache.clear()
            self._cache[key] = ranked


def count_best_sellers(snapshot: Snapshot, days: int) -> AsOf[list[BestSeller]]:
    """Count the best sellers from the orders, however many there are: always the first 100, best first.

    Callers cut the list to their limits, so their queries are equal and one snapshot runs them once.
    """
    since = to_micros(window_start(snapshot.now, days))
    return AsOf(snapshot.now, [BestSeller(*row) for row in snapshot.rows(_DIRECT, since=since, count=MAX_BEST)])


def _best_seller(product: Row, units: int) -> BestSeller:
    product_id, name, price, stock = product
    return BestSeller(product_id, name, price, stock, units)


def _rank(snapshot: Snapshot, state: _State, until: int, limit: int, earlier: _Ranked | None) -> _Ranked:
    count = limit + _SPARE_BUCKETS
    # Only a refresh writes buckets.
    reusable = earlier is not None and (earlier.state.window_id, earlier.state.version) == (
        state.window_id,
        state.version,
    )
    rows = () if reusable else send_leading(snapshot, state.window_id, count)
    changes = _read_changes(snapshot, state, until)
    leading = earlier.leading if earlier is not None and reusable else _leading(rows, count)
    while True:
        ranking = Ranking(leading, changes, limit)
        missing = ranking.missing()
        if missing:
            ranking.add(read_buckets(snapshot, state.window_id, missing))
        if ranking.is_final():
            return _Ranked(state, leading, ranking.best)
        count *= 4
        leading = _leading(send_leading(snapshot, state.window_id, count), count)


def _leading(rows: Iterable[Row], count: int) -> Leading:
    buckets = decode_rows(rows)
    return Leading(buckets, are_all=len(buckets) < count)


def _read_changes(snapshot: Snapshot, state: _State, until: int) -> dict[int, int]:
    """Read the units by product that have come and gone since the window was refreshed."""
    waiting = deltas.read_oldest(snapshot, MAX_CHANGES) if state.deltas else ()
    departed = snapshot.send(_ITEMS, since=state.since, until=until, count=MAX_CHANGES) if state.departed else ()
    returned = snapshot.send(_ITEMS, since=until, until=state.since, count=MAX_CHANGES) if state.returned else ()
    changes = deltas.sum_units(waiting, state.since)
    for sign, items in ((-1, departed), (1, returned)):
        for product, quantity in items:
            changes[product] = changes.get(product, 0) + sign * quantity
    return changes
