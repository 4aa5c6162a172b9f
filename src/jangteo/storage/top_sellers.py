"""The best sellers, counted directly from the orders."""

from jangteo.core.rows import BestSeller
from jangteo.core.top_sellers import BEST, window_start
from jangteo.storage.moments import micros
from jangteo.storage.port import Snapshot

_COUNTED = """
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


def read_best_sellers(snapshot: Snapshot) -> list[BestSeller]:
    """The best sellers of the window that ends now, best first."""
    since = micros(window_start(snapshot.now))
    return [BestSeller(*row) for row in snapshot.rows(_COUNTED, since=since, count=BEST)]
