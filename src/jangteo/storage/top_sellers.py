"""The best sellers: from what is counted of their window and what isn't yet, or counted directly from the orders.

Both are exact to the moment of their snapshot. What is counted of a window is what was sold later than its `since`. To
that comes what has been sold since the last step of the counting; off it goes what has left the window since then.
"""

from collections.abc import Iterable
from typing import Final

from jangteo.core.rows import BestSeller
from jangteo.core.sales_pages import Standings
from jangteo.core.top_sellers import window_start
from jangteo.storage.moments import micros
from jangteo.storage.port import AsOf, Row, Snapshot
from jangteo.storage.sales import add_up
from jangteo.storage.sales_pages import leading, read_pages

MANY: Final = 10_000
"""So many notes of sales, or orders that have left a window: with more, all orders are counted instead."""
_SPARE_PAGES: Final = 3
"""So many pages are read beyond those that the best can be on, since some of these may have left."""

_DIRECTLY = """
    SELECT products.id, products.name, products.price, products.stock, best.sold
    FROM (
        SELECT order_lines.product_id AS product_id, CAST(SUM(order_lines.quantity) AS BIGINT) AS sold
        FROM orders JOIN order_lines ON order_lines.order_id = orders.id
        WHERE orders.created_at > :since AND orders.status = 'paid'
        GROUP BY order_lines.product_id
        ORDER BY sold DESC, product_id LIMIT :count
    ) AS best
    JOIN products ON products.id = best.product_id
    ORDER BY best.sold DESC, products.id
"""

_KEPT = "FROM top_windows WHERE days = :days AND state = 'kept' ORDER BY id LIMIT 1"
_WINDOW = f"SELECT id, since {_KEPT}"
_NOTES = "SELECT moment, units FROM uncounted_sales ORDER BY id LIMIT :count"
_LEADING = f"""
    SELECT id, sold FROM top_pages WHERE window_id = (SELECT id {_KEPT})
    ORDER BY best DESC, id DESC LIMIT :count
"""
# The limit also tells the database that there are few: it looks up their lines instead of reading all there are.
_LEFT = f"""
    SELECT order_lines.order_id, product_id, quantity
    FROM (
        SELECT id FROM orders
        WHERE created_at > (SELECT since {_KEPT}) AND created_at <= :until AND status = 'paid'
        LIMIT :count
    ) AS departed JOIN order_lines ON order_lines.order_id = departed.id
"""
_COME_BACK = f"""
    SELECT order_lines.order_id, product_id, quantity
    FROM (
        SELECT id FROM orders
        WHERE created_at > :until AND created_at <= (SELECT since {_KEPT}) AND status = 'paid'
        LIMIT :count
    ) AS returned JOIN order_lines ON order_lines.order_id = returned.id
"""
_PRODUCTS = "SELECT id, name, price, stock FROM products WHERE id IN (:ids)"


def read_best_sellers(snapshot: Snapshot, limit: int, days: int) -> AsOf[list[BestSeller]] | None:
    """The best sellers of the window that ends now, best first; None where it isn't kept, or the counting is behind."""
    wanted = {"days": days, "until": micros(window_start(snapshot.now, days)), "count": MANY}
    # All of it goes out together.
    windows = snapshot.ask(_WINDOW, days=days)
    notes_found = snapshot.ask(_NOTES, count=MANY)
    pages = snapshot.ask(_LEADING, days=days, count=limit + _SPARE_PAGES)
    left_found = snapshot.ask(_LEFT, **wanted)
    kept, notes, left = list(windows), list(notes_found), list(left_found)
    if not kept:
        return None
    window_id, since = kept[0]
    # Another server's clock may be ahead of this one.
    returned = snapshot.rows(_COME_BACK, **wanted) if since > wanted["until"] else []
    if len(notes) == MANY or _are_many(left) or _are_many(returned):
        return None
    changes: dict[int, int] = {}
    add_up(changes, (units for moment, units in notes if moment > since))
    for sign, lines in ((-1, left), (1, returned)):
        for _, product, quantity in lines:
            changes[product] = changes.get(product, 0) + sign * quantity
    best = _ranked(snapshot, window_id, pages, changes, limit)
    products = {row[0]: row for row in snapshot.find(_PRODUCTS, [product for product, _ in best])}
    # As where they are counted directly: what isn't a product is left out.
    return AsOf(snapshot.now, [_with_sales(products[each], units) for each, units in best if each in products])


def count_best_sellers(snapshot: Snapshot, limit: int, days: int) -> AsOf[list[BestSeller]]:
    """The same, counted from the orders, however many there are."""
    since = micros(window_start(snapshot.now, days))
    rows = snapshot.rows(_DIRECTLY, since=since, count=limit)
    return AsOf(snapshot.now, [BestSeller(*row) for row in rows])


def _with_sales(product: Row, units: int) -> BestSeller:
    product_id, name, price, stock = product
    return BestSeller(product_id, name, price, stock, units)


def _ranked(
    snapshot: Snapshot, window_id: int, pages: Iterable[Row], changes: dict[int, int], limit: int
) -> list[tuple[int, int]]:
    count = limit + _SPARE_PAGES
    while True:
        standings = Standings(leading(pages, count), changes, limit)
        missing = standings.missing()
        if missing:
            standings.add(read_pages(snapshot, window_id, missing))
        if standings.are_final():
            return standings.best
        count *= 4
        pages = snapshot.rows(
            "SELECT id, sold FROM top_pages WHERE window_id = :window_id ORDER BY best DESC, id DESC LIMIT :count",
            window_id=window_id,
            count=count,
        )


def _are_many(lines: list[Row]) -> bool:
    return len(lines) >= MANY and len({order for order, _, _ in lines}) == MANY
