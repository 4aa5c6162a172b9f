"""Ways to provide the best sellers in SQL, beside the shop's own tables: what each would write in the transaction of a
batch of orders, and how it would read the best.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from time import perf_counter
from typing import Any, ClassVar, Final, NamedTuple

import msgspec
import psycopg

from bench.contenders import shops
from bench.loads.load import CannotMeasure
from jangteo.app import system_clock
from jangteo.core.best_sellers import DEFAULT_BEST, DEFAULT_DAYS, sales_of, window_start
from jangteo.core.book import Book
from jangteo.core.entities import Order, OrderItem
from jangteo.storage.best_sellers.query import count_best_sellers
from jangteo.storage.port import Session, Snapshot, Value
from jangteo.storage.sqlite.connection import open_connection
from jangteo.storage.timestamps import to_micros
from jangteo.storage.urls import open_storage, sqlite_path

SQLITE: Final = "SQLite"
POSTGRES: Final = "PostgreSQL"
HOUR: Final = 3_600_000_000
ORDERS_OF_BATCH: Final = 64
_QUANTITIES: Final = (1, 1, 2)
"""Of the lines of an order."""
_FRAME_BYTES: Final = 4096 + 24
"""A page in SQLite's write-ahead log, and its header."""
_LINES_GIVEN: Final = {
    SQLITE: "SELECT value ->> 0 AS product_id, value ->> 1 AS units FROM json_each(:lines) WHERE TRUE",
    POSTGRES: """
        SELECT CAST(value ->> 0 AS BIGINT) AS product_id, CAST(value ->> 1 AS BIGINT) AS units
        FROM jsonb_array_elements(CAST(:lines AS JSONB))
    """,
}
"""The lines of a batch as rows, from a parameter in JSON."""

Standings = list[tuple[int, int]]


class Cost(NamedTuple):
    """The time of one transaction, and what it wrote to the database's log."""

    ms: float
    kib: float


_NOTHING: Final = Cost(0, 0)


@dataclass
class Measured:
    """The measurements of one way."""

    name: str
    note: str
    write: Cost = _NOTHING
    """What it adds to a batch of orders; nothing for many a way."""
    read_ms: float = 0
    read_at_most_ms: float | None = None
    """If it varies."""
    agrees: bool = True
    """Whether it found the same as the direct query."""
    beside: dict[str, float] = field(default_factory=dict)
    """Other costs, outside of the batch."""


class Shop:
    """A shop with orders of three days, with a clock that stands still unless it is moved, and its database's log."""

    def __init__(self, url: str, apart: timedelta) -> None:
        self.apart = apart
        """The time from one order to the next."""
        self.now = system_clock()
        storage, path = open_storage(url), sqlite_path(url)
        # A connection that has written plans differently from one that only reads.
        self.reads, self.writing = storage.connect(), storage.connect()
        self.kind = POSTGRES if path is None else SQLITE
        self._raw: Any = psycopg.connect(url, autocommit=True) if path is None else open_connection(path)

    def close(self) -> None:
        """Close all connections."""
        for connection in (self.reads, self.writing, self._raw):
            connection.close()

    @property
    def since(self) -> int:
        """The start of the window that ends now (microseconds)."""
        return to_micros(window_start(self.now, DEFAULT_DAYS))

    def execute(self, *statements: str) -> None:
        """Run statements, each in a transaction of its own, with the database's own plans."""
        for sql in statements:
            self._raw.execute(sql)

    def cost(self, work: Callable[[], object]) -> Cost:
        """Measure some work of one transaction."""
        before = self._logged()
        began = perf_counter()
        work()
        taken = perf_counter() - began
        # SQLite's log has been checkpointed by then, and starts again.
        logged = self._logged() - (before if self.kind == POSTGRES else 0)
        return Cost(taken * 1_000, logged / 1024)

    def _logged(self) -> int:
        if self.kind == POSTGRES:
            # No checkpoint comes between, after which first changes would be logged as whole pages.
            return int(self._raw.execute("SELECT pg_current_wal_insert_lsn() - '0/0'").fetchone()[0])
        busy, frames, copied = self._raw.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        if busy or frames != copied:
            raise CannotMeasure(f"SQLite's log can't be checkpointed: {copied} of {frames} pages were")
        return int(frames) * _FRAME_BYTES


class Way:
    """One way. Writes and prepares nothing unless it overrides this."""

    name: ClassVar[str]
    note: ClassVar[str] = ""
    kinds: ClassVar[tuple[str, ...]] = (SQLITE, POSTGRES)
    writes: ClassVar[bool] = False

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._given = _LINES_GIVEN[shop.kind]

    def prepare(self) -> None:
        """Prepare what it needs from the orders."""

    def write(self, session: Session, book: Book) -> None:
        """Write what a batch of orders must change."""

    def read(self) -> Standings:
        """Read the best sellers with their units."""
        with self._shop.reads.snapshot(self._shop.now) as snapshot:
            return self._find(snapshot)

    def finish(self, measured: Measured) -> None:
        """Measure other costs."""

    def _find(self, snapshot: Snapshot) -> Standings:
        raise NotImplementedError


_SOLD: Final = """
    SELECT product_id, CAST(SUM(quantity) AS BIGINT) AS sold
    FROM orders JOIN order_items ON order_items.order_id = orders.id
    WHERE created_at > {since} AND status = 'paid' GROUP BY product_id
"""
_FIRST: Final = f"ORDER BY sold DESC, product_id LIMIT {DEFAULT_BEST}"


def _best(snapshot: Snapshot, found: str, **values: Value) -> Standings:
    """Read as much of the found best sellers as the shop does; return their standings."""
    sql = f"""
        SELECT products.id, products.name, products.price, products.stock, best.sold
        FROM ({found} {_FIRST}) AS best JOIN products ON products.id = best.product_id
        ORDER BY best.sold DESC, products.id
    """
    return [(row[0], row[4]) for row in snapshot.rows(sql, **values)]


def _sold_by(book: Book) -> dict[int, int]:
    units: dict[int, int] = {}
    for _, order, sign in sales_of(book):
        for item in order.items:
            units[item.product_id] = units.get(item.product_id, 0) + sign * item.quantity
    return units


def _as_json(units: dict[int, int]) -> str:
    """In order of the products, in which their rows are locked."""
    return msgspec.json.encode(sorted(units.items())).decode()


class Directly(Way):
    """What the shop itself does without an active window."""

    name = "counted from the orders"

    def _find(self, snapshot: Snapshot) -> Standings:
        return [(each.id, each.sold) for each in count_best_sellers(snapshot, DEFAULT_DAYS).value[:DEFAULT_BEST]]


class Covering(Way):
    """Order lines with their order's time, so that an index alone answers."""

    name = "counted from a covering index"
    note = "order lines need a copy of their order's time: they are written a second time, with their index"
    writes = True

    def prepare(self) -> None:
        """Copy all order lines."""
        columns = "placed_at BIGINT NOT NULL, product_id BIGINT NOT NULL, quantity BIGINT NOT NULL"
        self._shop.execute(
            f"CREATE TABLE sale_lines ({columns})",
            """
            INSERT INTO sale_lines SELECT created_at, product_id, quantity
            FROM orders JOIN order_items ON order_items.order_id = orders.id ORDER BY created_at, position
            """,
            "CREATE INDEX sale_lines_by_time ON sale_lines (placed_at, product_id, quantity)",
        )

    def write(self, session: Session, book: Book) -> None:
        """Write all order lines."""
        lines = [(item.product_id, item.quantity) for _, order, _ in sales_of(book) for item in order.items]
        sql = f"INSERT INTO sale_lines SELECT CAST(:at AS BIGINT), product_id, units FROM ({self._given}) AS l"
        session.run(sql, at=to_micros(book.now), lines=msgspec.json.encode(lines).decode())

    def _find(self, snapshot: Snapshot) -> Standings:
        found = """
            SELECT product_id, CAST(SUM(quantity) AS BIGINT) AS sold
            FROM sale_lines WHERE placed_at > :since GROUP BY product_id
        """
        return _best(snapshot, found, since=self._shop.since)


class Hours(Way):
    """Units by hour; the hour in which the window starts is read from the orders."""

    name = "hour buckets"
    note = "the newest hour is right as it stands; the part of the oldest that counts is read from the orders"
    writes = True

    def prepare(self) -> None:
        """Add up all hours."""
        self._shop.execute(
            """
            CREATE TABLE hour_sales (hour BIGINT NOT NULL, product_id BIGINT NOT NULL, sold BIGINT NOT NULL,
                PRIMARY KEY (hour, product_id))
            """
            + ("WITHOUT ROWID" if self._shop.kind == SQLITE else ""),
            f"""
            INSERT INTO hour_sales SELECT created_at / {HOUR}, product_id, CAST(SUM(quantity) AS BIGINT)
            FROM orders JOIN order_items ON order_items.order_id = orders.id GROUP BY 1, 2 ORDER BY 1, 2
            """,
        )

    def write(self, session: Session, book: Book) -> None:
        """Change a row for each product of the hour."""
        sql = f"""
            INSERT INTO hour_sales SELECT CAST(:hour AS BIGINT), product_id, units FROM ({self._given}) AS l
            WHERE TRUE ON CONFLICT (hour, product_id) DO UPDATE SET sold = hour_sales.sold + excluded.sold
        """
        session.run(sql, hour=to_micros(book.now) // HOUR, lines=_as_json(_sold_by(book)))

    def _find(self, snapshot: Snapshot) -> Standings:
        since = self._shop.since
        first = since // HOUR + 1
        found = f"""
            SELECT product_id, CAST(SUM(sold) AS BIGINT) AS sold FROM (
                SELECT product_id, sold FROM hour_sales WHERE hour >= :first
                UNION ALL {_SOLD.format(since=":since AND created_at < :until")}
            ) AS parts GROUP BY product_id
        """
        return _best(snapshot, found, first=first, since=since, until=first * HOUR)


class WindowTotal(Way):
    """A row for each product, changed by every sale, and again when the sale leaves the window."""

    name = "a total for each product"
    note = "with as many lines again that leave the window in the same transaction; finding these is not in it"
    writes = True

    def __init__(self, shop: Shop) -> None:
        super().__init__(shop)
        self._leaving: dict[int, int] = {}

    def prepare(self) -> None:
        """Add up the window."""
        self._shop.execute(
            "CREATE TABLE window_sales (product_id BIGINT PRIMARY KEY, sold BIGINT NOT NULL)"
            if self._shop.kind == POSTGRES
            else "CREATE TABLE window_sales (product_id INTEGER PRIMARY KEY, sold BIGINT NOT NULL)",
            f"INSERT INTO window_sales {_SOLD.format(since=self._shop.since)} ORDER BY 1",
            "CREATE INDEX window_sales_best ON window_sales (sold DESC, product_id)",
        )

    def write(self, session: Session, book: Book) -> None:
        """Add this batch, and subtract the last one as if it left the window now."""
        sql = f"""
            INSERT INTO window_sales SELECT product_id, units FROM ({self._given}) AS l
            WHERE TRUE ON CONFLICT (product_id) DO UPDATE SET sold = window_sales.sold + excluded.sold
        """
        units = _sold_by(book)
        for change in (units, self._leaving):
            session.run(sql, lines=_as_json(change))
        self._leaving = {product: -count for product, count in units.items()}

    def _find(self, snapshot: Snapshot) -> Standings:
        return _best(snapshot, "SELECT product_id, sold FROM window_sales WHERE sold > 0")


class View(Way):
    """A query's answer that PostgreSQL stores until the next refresh."""

    name = "a materialized view"
    note = "as old as its last refresh"
    kinds = (POSTGRES,)

    def prepare(self) -> None:
        """Run the query once."""
        self._shop.execute(
            f"CREATE MATERIALIZED VIEW seen_sales AS {_SOLD.format(since=self._shop.since)}",
            "CREATE UNIQUE INDEX seen_sales_by_product ON seen_sales (product_id)",
            "CREATE INDEX seen_sales_best ON seen_sales (sold DESC, product_id)",
        )

    def finish(self, measured: Measured) -> None:
        """Refresh; a concurrent one of unchanged rows, which is the least it can take."""
        refreshed = self._shop.cost(lambda: self._shop.execute("REFRESH MATERIALIZED VIEW seen_sales"))
        beside = self._shop.cost(lambda: self._shop.execute("REFRESH MATERIALIZED VIEW CONCURRENTLY seen_sales"))
        measured.beside["ms to refresh, readers wait"] = refreshed.ms
        measured.beside["MiB of log for it"] = refreshed.kib / 1024
        measured.beside["ms to refresh beside readers, nothing changed"] = beside.ms

    def _find(self, snapshot: Snapshot) -> Standings:
        return _best(snapshot, "SELECT product_id, sold FROM seen_sales")


IN_SQL: Final = (Directly, Covering, Hours, WindowTotal, View)


def batch(now: datetime, random: Random) -> Book:
    """A batch of orders of three lines each, of any products."""
    book = Book(now)
    catalogue = range(1, shops.PRODUCTS_OF_CATALOGUE + 1)
    for number in range(1, ORDERS_OF_BATCH + 1):
        items = tuple(
            OrderItem(product, quantity, shops.PRICE_IN_CATALOGUE, quantity * shops.PRICE_IN_CATALOGUE)
            for product, quantity in zip(random.sample(catalogue, len(_QUANTITIES)), _QUANTITIES, strict=True)
        )
        amount = sum(item.amount for item in items)
        book.orders.put(number, Order(number, number, "paid", items, amount, 0, amount, None, now, actor="open"))
    return book
