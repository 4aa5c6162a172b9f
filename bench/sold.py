"""Makes orders of the last three days within the database, and backfills the window of the best sellers from them.

The books are right: users have paid for these orders, and products were sold. Their events count as sent and purged,
which makes them one row. So `jangteo audit` finds nothing wrong, until orders are placed without deltas.

Run as `python -m bench.sold --database URL --lines 10000000` on a new database, or used by `python -m bench.top`.
"""

import argparse
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from time import perf_counter
from typing import Final

import psycopg

from bench.contenders import shops
from bench.loads.load import CannotMeasure
from jangteo.app import system_clock
from jangteo.core.best_sellers import DEFAULT_DAYS, RefreshBestSellers, RefreshOutcome
from jangteo.engine.batch import Submission, commit
from jangteo.engine.outcomes import serialize
from jangteo.storage import schema
from jangteo.storage.best_sellers.backfill import plan_finish, plan_start, scan_orders
from jangteo.storage.port import Connection, Storage
from jangteo.storage.postgres.connection import PostgresConnection
from jangteo.storage.postgres.statements import continue_after_largest_id
from jangteo.storage.timestamps import to_micros
from jangteo.storage.urls import open_storage

LINES_OF_ORDER: Final = 3
_UNITS_OF_ORDER: Final = 4
_TOTAL: Final = _UNITS_OF_ORDER * shops.PRICE_IN_CATALOGUE
_WINDOW: Final = timedelta(days=DEFAULT_DAYS)
_AT_ONCE: Final = 100_000

_NUMBERS: Final = """
    WITH RECURSIVE numbers (n) AS (
        SELECT CAST(:first AS BIGINT) UNION ALL SELECT n + 1 FROM numbers WHERE n < :last
    )
"""
# Users buy in turn and pay the same, so everything follows from an order's number. The ledger entry of a user's charge
# has the user's number; the entries of the orders follow.
_BUYER: Final = f"(n - 1) % {shops.BUYERS} + 1"
_ENTRY: Final = f"n + {shops.BUYERS}"
_ORDERS: Final = (
    f"""
    INSERT INTO orders (id, user_id, status, amount, discount, total, payment_entry, created_at)
    {_NUMBERS}
    SELECT n, {_BUYER}, 'paid', {_TOTAL}, 0, {_TOTAL}, {_ENTRY}, :since + n * CAST(:apart AS BIGINT)
    FROM numbers ORDER BY n
    """,
    f"""
    INSERT INTO ledger_entries (id, user_id, previous, kind, amount, balance_after, order_id, created_at)
    {_NUMBERS}
    SELECT {_ENTRY}, {_BUYER}, n, 'payment', -{_TOTAL}, {shops.PLENTY} - ((n - 1) / {shops.BUYERS} + 1) * {_TOTAL}, n,
        :since + n * CAST(:apart AS BIGINT)
    FROM numbers ORDER BY n
    """,
)
# Lines are numbered from 0. A line's number times 2^32 over the golden ratio is spread evenly over 2^32, and those of
# one order far from each other. To the third power some products are sold far more than others: the best is on a
# fiftieth of all lines, the median product on one of 160,000. Their ids are then shuffled.
_HASHED: Final = "n * 2654435761 % 4294967296 / 4096"
_INDEX: Final = f"(h * h * h / 1048576) * {shops.PRODUCTS_OF_CATALOGUE} / 1099511627776"
_LINES: Final = f"""
    INSERT INTO order_items (order_id, position, product_id, quantity, unit_price)
    {_NUMBERS}
    SELECT n / {LINES_OF_ORDER} + 1, n % {LINES_OF_ORDER},
        ({_INDEX} * 61803 + 31415) % {shops.PRODUCTS_OF_CATALOGUE} + 1,
        CASE n % {LINES_OF_ORDER} WHEN 2 THEN 2 ELSE 1 END, {shops.PRICE_IN_CATALOGUE}
    FROM (SELECT n, {_HASHED} AS h FROM numbers) AS hashed ORDER BY n
"""
# A user's turns.
_TURNS: Final = f"(CAST(:orders AS BIGINT) - id + {shops.BUYERS}) / {shops.BUYERS}"
_USERS: Final = f"""
    UPDATE users SET last_entry = id + {_TURNS} * {shops.BUYERS}, balance = balance - {_TURNS} * {_TOTAL}
"""
_PRODUCTS: Final = """
    UPDATE products SET stock = stock - sales.units FROM (
        SELECT product_id, CAST(SUM(quantity) AS BIGINT) AS units FROM order_items GROUP BY product_id
    ) AS sales
    WHERE sales.product_id = products.id
"""
_EVENTS: Final = "UPDATE purged_events SET events = :orders, until = (SELECT MAX(created_at) FROM orders)"
# No other timestamp matters for the units sold.
_MOVED: Final = (
    "UPDATE orders SET created_at = created_at + :by",
    "UPDATE purged_events SET until = until + :by",
    # The view belongs to the earlier times. It is backfilled again.
    "DELETE FROM best_seller_windows WHERE :by > 0",
    "DELETE FROM best_seller_buckets WHERE :by > 0",
    "DELETE FROM sales_deltas WHERE :by > 0",
)


def make(url: str, lines: int, tell: Callable[[str], None]) -> None:
    """A new shop in an empty database, with so many lines of orders, rounded down to whole orders."""
    shops.make(url, shops.for_best_sellers())
    orders = lines // LINES_OF_ORDER
    storage = open_storage(url)
    if orders:
        _fill(storage, orders, tell)
    sync(url)
    add_window(storage, tell)


def add_window(storage: Storage, tell: Callable[[str], None]) -> None:
    """Backfill the window of three days, as a server does."""
    # A connection that has written plans differently from one that only reads.
    reads, writing = storage.connect(), storage.connect()
    try:
        with reads.snapshot(system_clock()) as snapshot:
            started = plan_start(snapshot, DEFAULT_DAYS)
        _apply(writing, started)
        window = started.refresh.new_windows[0]
        with reads.snapshot(system_clock()) as snapshot:
            missing = scan_orders(snapshot, window, lambda done: tell(f"backfilling the window: {done:.0%}"))
        with reads.snapshot(system_clock()) as snapshot:
            finish = plan_finish(snapshot, window, missing)
        if finish is not None:
            _apply(writing, finish)
    finally:
        reads.close()
        writing.close()


def bring_up_to_now(url: str, older_than: timedelta, tell: Callable[[str], None]) -> None:
    """Move the orders of a shop that was made earlier up to now, if they are older, and backfill again."""
    storage = open_storage(url)
    connection = storage.connect()
    try:
        now = system_clock()
        with connection.snapshot(now) as snapshot:
            newest = snapshot.rows("SELECT MAX(created_at) FROM orders")[0][0]
        by = 0 if newest is None else to_micros(now) - newest
        if by < older_than // timedelta(microseconds=1):
            return
        tell(f"moving its orders on by {timedelta(microseconds=by)}")
        with connection.transaction() as session:
            for sql in _MOVED:
                session.run(sql, by=by)
    finally:
        connection.close()
    sync(url)
    add_window(storage, tell)


def sync(url: str) -> None:
    """Vacuum and analyze PostgreSQL after bulk inserts; SQLite needs nothing."""
    if url.startswith("postgresql:"):
        with psycopg.connect(url, autocommit=True) as raw:
            raw.execute("VACUUM (ANALYZE)")


def _fill(storage: Storage, orders: int, tell: Callable[[str], None]) -> None:
    connection = storage.connect()
    since, apart = to_micros(system_clock() - _WINDOW), _WINDOW // timedelta(microseconds=1) // orders
    try:
        for first in range(1, orders + 1, _AT_ONCE):
            tell(f"making sold orders: {first - 1:,} of {orders:,}")
            last = min(first + _AT_ONCE - 1, orders)
            with connection.transaction() as session:
                for sql in _ORDERS:
                    session.run(sql, first=first, last=last, since=since, apart=apart)
                session.run(_LINES, first=(first - 1) * LINES_OF_ORDER, last=last * LINES_OF_ORDER - 1)
        tell("making sold orders: balances and stocks")
        with connection.transaction() as session:
            session.run(_USERS, orders=orders)
            session.run(_PRODUCTS)
            session.run(_EVENTS, orders=orders)
            if isinstance(connection, PostgresConnection):
                for table in (schema.orders, schema.ledger_entries):
                    session.run(continue_after_largest_id(table))
                # Events that are purged had ids, too.
                session.run("SELECT setval('outbox_ids', :orders)", orders=orders)
    finally:
        connection.close()


def _apply(connection: Connection, command: RefreshBestSellers) -> None:
    (outcome,) = commit(connection, [Submission(command)], system_clock).outcomes
    if outcome != serialize(RefreshOutcome(applied=True)):
        raise CannotMeasure(f"the window can't be backfilled: {outcome}")


def main() -> None:
    """Make a shop with orders of the last three days in the named database."""
    options = argparse.ArgumentParser(prog="python -m bench.sold", description="A shop with orders of three days.")
    options.add_argument("--database", required=True, metavar="URL", help="an empty database")
    options.add_argument("--lines", type=int, default=10_000_000, help="of orders, three each")
    given = options.parse_args()
    began = perf_counter()
    make(given.database, given.lines, partial(print, flush=True))
    print(f"made in {perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
