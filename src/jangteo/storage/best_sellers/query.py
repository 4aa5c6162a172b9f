"""The best sellers: from what is counted of their window and what isn't yet, or counted directly from the orders.

Both are exact to the moment of their snapshot. What is counted of a window is what was sold later than its `since`. To
that comes what has been sold since the last step of the counting; off it goes what has left the window since then.
"""

from typing import Any, Final, NamedTuple

from jangteo.core.best_sellers import MAX_BEST, window_start
from jangteo.core.entities import BestSeller
from jangteo.core.sales_pages import Leading, Standings
from jangteo.storage.best_sellers.buckets import leading, read_pages
from jangteo.storage.best_sellers.deltas import add_up
from jangteo.storage.port import AsOf, Row, Snapshot
from jangteo.storage.timestamps import to_micros

MANY: Final = 10_000
"""So many notes of sales, or orders that have left a window: with more, all orders are counted instead."""
REMEMBERED: Final = 32
"""So many answers a connection remembers, of whatever limits and days were asked for last."""
_SPARE_PAGES: Final = 3
"""So many pages are read beyond those that the best can be on, since some of these may have left."""

_DIRECTLY = """
    SELECT products.id, products.name, products.price, products.stock, best.sold
    FROM (
        SELECT order_items.product_id AS product_id, CAST(SUM(order_items.quantity) AS BIGINT) AS sold
        FROM orders JOIN order_items ON order_items.order_id = orders.id
        WHERE orders.created_at > :since AND orders.status = 'paid'
        GROUP BY order_items.product_id
        ORDER BY sold DESC, product_id LIMIT :count
    ) AS best
    JOIN products ON products.id = best.product_id
    ORDER BY best.sold DESC, products.id
"""

# How far it is counted, and how much there is that isn't. A limit also tells the database that there are few: it looks
# them up instead of reads all there are.
_STATE = """
    SELECT best_seller_windows.id, since, version,
        (SELECT COUNT(*) FROM (SELECT id FROM sales_deltas ORDER BY id LIMIT :count) AS notes),
        (SELECT COUNT(*) FROM (
            SELECT id FROM orders WHERE created_at > since AND created_at <= :until AND status = 'paid' LIMIT :count
        ) AS departed),
        (SELECT COUNT(*) FROM (
            SELECT id FROM orders WHERE created_at > :until AND created_at <= since AND status = 'paid' LIMIT :count
        ) AS returned)
    FROM best_seller_windows CROSS JOIN best_seller_version WHERE days = :days AND state = 'active' ORDER BY best_seller_windows.id LIMIT 1
"""
_NOTES = "SELECT ordered_at, units FROM sales_deltas ORDER BY id LIMIT :count"
_LEADING = "SELECT id, units FROM best_seller_buckets WHERE window_id = :window_id ORDER BY max_units DESC, id DESC LIMIT :count"
_BETWEEN = """
    SELECT product_id, quantity
    FROM (
        SELECT id FROM orders WHERE created_at > :since AND created_at <= :until AND status = 'paid' LIMIT :count
    ) AS passed JOIN order_items ON order_items.order_id = passed.id
"""
_PRODUCTS = "SELECT id, name, price, stock FROM products WHERE id IN (:ids)"


class _State(NamedTuple):
    """All that the best depend on, in numbers."""

    window_id: int
    since: int
    steps: int
    notes: int
    departed: int
    """So many orders have left the window since."""
    returned: int
    """So many are in it again, since another server's clock was ahead of this one."""


class _Known(NamedTuple):
    """Who the best were in a state.

    They still are where it is the same. A page is only written, and a note only removed, by a step; an order that is
    cancelled leaves a note; and of orders that have left, or returned, there are as many only where they are the same.
    """

    state: _State
    leading: Leading
    best: list[tuple[int, int]]


def read_best_sellers(snapshot: Snapshot, limit: int, days: int) -> AsOf[list[BestSeller]] | None:
    """The best sellers of the window that ends now, best first; None where it isn't kept, or the counting is behind."""
    until = to_micros(window_start(snapshot.now, days))
    known: _Known | None = snapshot.memory.get((read_best_sellers, limit, days))
    # Both go out together.
    found = snapshot.send(_STATE, days=days, until=until, count=MANY)
    products = snapshot.find(_PRODUCTS, [product for product, _ in known.best]) if known else ()
    state = next((_State(*row) for row in found), None)
    if state is None or max(state.notes, state.departed, state.returned) == MANY:
        return None
    by_id = {row[0]: row for row in products}
    if known is None or known.state != state:
        known = _rank(snapshot, state, until, limit, known)
        _remember(snapshot, (read_best_sellers, limit, days), known)
        if any(product not in by_id for product, _ in known.best):
            by_id = {row[0]: row for row in snapshot.find(_PRODUCTS, [product for product, _ in known.best])}
    # As where they are counted directly: what isn't a product is left out.
    return AsOf(snapshot.now, [_with_sales(by_id[each], units) for each, units in known.best if each in by_id])


def count_best_sellers(snapshot: Snapshot, limit: int, days: int) -> AsOf[list[BestSeller]]:
    """The same, counted from the orders, however many there are: once in a snapshot, whatever the limits asked for."""
    counted_in, rows = snapshot.memory.get((count_best_sellers, days), (None, []))
    if counted_in is not snapshot:
        since = to_micros(window_start(snapshot.now, days))
        rows = snapshot.rows(_DIRECTLY, since=since, count=MAX_BEST)
        _remember(snapshot, (count_best_sellers, days), (snapshot, rows))
    return AsOf(snapshot.now, [BestSeller(*row) for row in rows[:limit]])


def _remember(snapshot: Snapshot, question: tuple[Any, ...], known: object) -> None:
    if len(snapshot.memory) >= REMEMBERED:
        snapshot.memory.clear()
    snapshot.memory[question] = known


def _with_sales(product: Row, units: int) -> BestSeller:
    product_id, name, price, stock = product
    return BestSeller(product_id, name, price, stock, units)


def _rank(snapshot: Snapshot, state: _State, until: int, limit: int, known: _Known | None) -> _Known:
    count = limit + _SPARE_PAGES
    # Only a step writes pages.
    same_pages = known is not None and (known.state.window_id, known.state.steps) == (state.window_id, state.steps)
    pages = () if same_pages else snapshot.send(_LEADING, window_id=state.window_id, count=count)
    changes = _changes(snapshot, state, until)
    first = known.leading if known is not None and same_pages else leading(pages, count)
    while True:
        standings = Standings(first, changes, limit)
        missing = standings.missing()
        if missing:
            standings.add(read_pages(snapshot, state.window_id, missing))
        if standings.are_final():
            return _Known(state, first, standings.best)
        count *= 4
        first = leading(snapshot.rows(_LEADING, window_id=state.window_id, count=count), count)


def _changes(snapshot: Snapshot, state: _State, until: int) -> dict[int, int]:
    """What has come and gone since it was counted, by product."""
    notes = snapshot.send(_NOTES, count=MANY) if state.notes else ()
    departed = snapshot.send(_BETWEEN, since=state.since, until=until, count=MANY) if state.departed else ()
    returned = snapshot.send(_BETWEEN, since=until, until=state.since, count=MANY) if state.returned else ()
    changes: dict[int, int] = {}
    add_up(changes, (units for moment, units in notes if moment > state.since))
    for sign, lines in ((-1, departed), (1, returned)):
        for product, quantity in lines:
            changes[product] = changes.get(product, 0) + sign * quantity
    return changes
