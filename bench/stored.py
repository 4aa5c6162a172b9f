"""Makes old orders inside the database, millions in minutes, consistent enough to pass the audit.

Run as `python -m bench.stored --database URL --orders 5000000` on a new database, or used by `make bench`.
"""

import argparse
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from bench.contenders import shops
from jangteo.app import system_clock
from jangteo.storage import schema
from jangteo.storage.port import Connection
from jangteo.storage.postgres.connection import PostgresConnection
from jangteo.storage.postgres.statements import continue_after_largest_id
from jangteo.storage.timestamps import to_micros
from jangteo.storage.urls import open_storage

_DAYS: Final = timedelta(days=30)
_NEWEST: Final = timedelta(days=4)
"""The age of the newest order: beyond the three days of the best sellers, whose view needs none of them."""
_CHUNK: Final = 100_000
_EVENT_BATCH: Final = 50
"""Orders per transaction."""

# Users buy one after the other, each the same products every time, so that an order's number determines its rows.
# A charge's ledger entry has the id of its user; the entries of the orders have the ids behind those.
_NUMBERED: Final = f"""
    WITH RECURSIVE numbers (n) AS (
        SELECT CAST(:first AS BIGINT) UNION ALL SELECT n + 1 FROM numbers WHERE n < :last
    ),
    buys AS (
        SELECT n, (n - 1) % {shops.BUYERS} + 1 AS buyer, (n - 1) / {shops.BUYERS} + 1 AS nth,
            (n - 1) % {shops.PRODUCTS} + 1 AS one, n % {shops.PRODUCTS} + 1 AS two
        FROM numbers
    ),
    made AS (
        SELECT n, buyer, nth, one, two, first_product.price AS one_price, second_product.price AS two_price,
            first_product.price + 2 * second_product.price AS total,
            :since + n * CAST(:apart AS BIGINT) AS at
        FROM buys
        JOIN products AS first_product ON first_product.id = one
        JOIN products AS second_product ON second_product.id = two
    )
"""
_ENTRY: Final = f"n + {shops.BUYERS}"
_BATCH_ID: Final = f"(n - 1) / {_EVENT_BATCH} + 1"
_MADE: Final = (
    f"""
    INSERT INTO orders (id, user_id, status, amount, discount, total, payment_entry, created_at)
    {_NUMBERED} SELECT n, buyer, 'paid', total, 0, total, {_ENTRY}, at FROM made ORDER BY n
    """,
    f"""
    INSERT INTO order_items (order_id, position, product_id, quantity, unit_price)
    {_NUMBERED}
    SELECT n, 0, one, 1, one_price FROM made UNION ALL SELECT n, 1, two, 2, two_price FROM made ORDER BY 1, 2
    """,
    f"""
    INSERT INTO ledger_entries (id, user_id, previous, kind, amount, balance_after, order_id, created_at)
    {_NUMBERED}
    SELECT {_ENTRY}, buyer, n, 'payment', -total, {shops.PLENTY} - nth * total, n, at FROM made ORDER BY n
    """,
    f"""
    INSERT INTO outbox (id, event_batch_id, order_id, type, event)
    {_NUMBERED}
    SELECT n, {_BATCH_ID}, n, 'jangteo.order.paid',
        '{{"specversion":"1.0","id":"stored-order-' || n || '-paid","source":"/jangteo/stored",'
        || '"type":"jangteo.order.paid","subject":"' || n || '","time":"2026-01-01T00:00:00Z",'
        || '"datacontenttype":"application/json",'
        || '"data":{{"orderId":' || n || ',"userId":' || buyer || ',"status":"paid","items":['
        || '{{"productId":' || one || ',"quantity":1,"unitPrice":' || one_price || ',"amount":' || one_price || '}},'
        || '{{"productId":' || two || ',"quantity":2,"unitPrice":' || two_price || ',"amount":' || (2 * two_price)
        || '}}],"amount":' || total || ',"discount":0,"total":' || total
        || ',"couponId": null,"createdAt":"2026-01-01T00:00:00Z"}}}}'
    FROM made ORDER BY n
    """,
    f"""
    INSERT INTO event_batches (id, first_event, last_event, created_at, sent_at)
    {_NUMBERED} SELECT {_BATCH_ID}, MIN(n), MAX(n), MAX(at), MAX(at) FROM made GROUP BY {_BATCH_ID} ORDER BY 1
    """,
)
_TOTALS: Final = (
    f"""
    UPDATE users SET
        last_entry = :orders + id,
        balance = balance - :orders_each * (
            SELECT CAST(SUM(price * CASE products.id WHEN users.id % {shops.PRODUCTS} + 1 THEN 2 ELSE 1 END) AS BIGINT)
            FROM products
            WHERE products.id IN ((users.id - 1) % {shops.PRODUCTS} + 1, users.id % {shops.PRODUCTS} + 1)
        )
    """,
    "UPDATE products SET stock = stock - :sold",
    "UPDATE best_seller_windows SET since = :newest",
)


def fill(url: str, orders: int, show_progress: Callable[[str], None]) -> None:
    """Make orders in a shop that `shops.for_orders` has just made.

    Raises ValueError when `orders` is not a multiple of `shops.BUYERS`.
    """
    if orders % shops.BUYERS:
        raise ValueError(f"{orders} is not a multiple of {shops.BUYERS}")
    connection = open_storage(url).connect()
    newest = system_clock() - _NEWEST
    since, apart = to_micros(newest - _DAYS), _DAYS // timedelta(microseconds=1) // orders
    try:
        for first in range(1, orders + 1, _CHUNK):
            show_progress(f"making stored orders: {first - 1:,} of {orders:,}")
            last = min(first + _CHUNK - 1, orders)
            with connection.transaction() as session:
                for sql in _MADE:
                    session.run(sql, first=first, last=last, since=since, apart=apart)
        show_progress("making stored orders: balances and stocks")
        _update_totals(connection, orders, to_micros(newest))
    finally:
        connection.close()


def _update_totals(connection: Connection, orders: int, newest: int) -> None:
    """Update balances, stocks, the start of the best sellers' windows, and the sequences of ids."""
    orders_each, sold = orders // shops.BUYERS, 3 * orders // shops.PRODUCTS
    with connection.transaction() as session:
        for sql in _TOTALS:
            session.run(sql, orders=orders, orders_each=orders_each, sold=sold, newest=newest)
        if isinstance(connection, PostgresConnection):
            for table in (schema.orders, schema.ledger_entries, schema.outbox, schema.event_batches):
                session.run(continue_after_largest_id(table))


def main() -> None:
    """Make a shop with old orders in the given database."""
    options = argparse.ArgumentParser(prog="python -m bench.stored", description="Make a shop with old orders.")
    options.add_argument("--database", required=True, metavar="URL", help="an empty database")
    options.add_argument("--orders", type=int, default=5_000_000, help=f"a multiple of {shops.BUYERS}")
    given = options.parse_args()
    shops.make(given.database, shops.for_orders())
    fill(given.database, given.orders, print)


if __name__ == "__main__":
    main()
