#!/usr/bin/env python3
"""Load a shop's events from its JSON Lines file into DuckDB, and answer three questions an analyst would ask.

Run it as often as you like: it continues where it stopped, and an event read twice changes nothing.
It needs Python 3.11 or newer and the package `duckdb`.
"""

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO, Final

import duckdb

TABLES: Final = """
    CREATE TABLE IF NOT EXISTS orders (
        shop VARCHAR,
        order_id BIGINT,
        user_id BIGINT NOT NULL,
        status VARCHAR NOT NULL,
        items STRUCT(productId BIGINT, quantity BIGINT, unitPrice BIGINT, amount BIGINT)[] NOT NULL,
        amount BIGINT NOT NULL,
        discount BIGINT NOT NULL,
        total BIGINT NOT NULL,
        coupon_id BIGINT,
        created_at TIMESTAMP NOT NULL,  -- UTC
        cancelled_at TIMESTAMP,
        PRIMARY KEY (shop, order_id)
    );
    CREATE TABLE IF NOT EXISTS files_read (
        path VARCHAR PRIMARY KEY,
        bytes BIGINT NOT NULL,
        last_line BLOB NOT NULL
    );
"""
# A cancelled order stays cancelled in whatever order its events arrive; of two equal events, either will do.
LOAD: Final = """
    INSERT INTO orders
    SELECT source, data.orderId, data.userId, data.status, data.items, data.amount, data.discount, data.total,
           data.couponId, data.createdAt, data.cancelledAt
    FROM read_json($file, format = 'newline_delimited', columns = {
        source: 'VARCHAR',
        type: 'VARCHAR',
        data: 'STRUCT(
            orderId BIGINT, userId BIGINT, status VARCHAR,
            items STRUCT(productId BIGINT, quantity BIGINT, unitPrice BIGINT, amount BIGINT)[],
            amount BIGINT, discount BIGINT, total BIGINT, couponId BIGINT, createdAt TIMESTAMP, cancelledAt TIMESTAMP
        )'
    })
    WHERE type IN ('jangteo.order.paid', 'jangteo.order.cancelled')
    QUALIFY row_number() OVER (PARTITION BY source, data.orderId ORDER BY data.status = 'cancelled' DESC) = 1
    ON CONFLICT (shop, order_id) DO UPDATE SET status = excluded.status, cancelled_at = excluded.cancelled_at
    WHERE excluded.status = 'cancelled'
"""
SAVE_POSITION: Final = """
    INSERT INTO files_read VALUES ($path, $bytes, $last_line)
    ON CONFLICT (path) DO UPDATE SET bytes = excluded.bytes, last_line = excluded.last_line
"""
BY_DAY: Final = """
    SELECT
        CAST((created_at AT TIME ZONE 'UTC') AT TIME ZONE $zone AS DATE) AS day,
        COUNT(*) AS orders,
        COUNT(*) FILTER (status = 'cancelled') AS "cancelled since",
        COALESCE(SUM(discount) FILTER (status = 'paid'), 0) AS discounts,
        COALESCE(SUM(total) FILTER (status = 'paid'), 0) AS revenue
    FROM orders WHERE shop = $shop GROUP BY day ORDER BY day
"""
BEST_CUSTOMERS: Final = """
    SELECT
        user_id AS user,
        COUNT(*) AS orders,
        CAST(ROUND(AVG(total)) AS BIGINT) AS "average order",
        SUM(discount) AS "coupons gave",
        SUM(total) AS spent
    FROM orders WHERE shop = $shop AND status = 'paid'
    GROUP BY user ORDER BY spent DESC, user LIMIT $top
"""
BOUGHT_TOGETHER: Final = """
    WITH bought AS (
        SELECT order_id, UNNEST(items).productId AS product FROM orders WHERE shop = $shop AND status = 'paid'
    )
    SELECT one.product AS product, other.product AS "and product", COUNT(*) AS orders
    FROM bought AS one JOIN bought AS other ON one.order_id = other.order_id AND one.product < other.product
    GROUP BY ALL ORDER BY orders DESC, 1, 2 LIMIT $top
"""

_CHUNK_BYTES: Final = 64 * 1024 * 1024


def main() -> int:
    """Load new events, print the answers, and return the exit code."""
    options = _arguments()
    try:
        with duckdb.connect(options.database) as database:
            database.execute(TABLES)
            lines = [f"{load(database, options.events):,} lines read"]
            for (shop,) in database.execute("SELECT DISTINCT shop FROM orders ORDER BY shop").fetchall():
                lines += _answers(database, shop, options.zone, options.top)
    except (OSError, duckdb.Error) as error:
        print(f"load_events: {options.events}: {error}", file=sys.stderr)
        return 1
    print("\n".join(lines))
    return 0


def load(database: duckdb.DuckDBPyConnection, events: Path) -> int:
    """Load the lines that are new since the last run, in atomic chunks, and return how many there were."""
    lines = 0
    with events.open("rb") as file:
        start = _find_position(database, file, events)
        while chunk := _whole_lines(file, start):
            _load_chunk(database, events, chunk, start + len(chunk))
            start += len(chunk)
            lines += chunk.count(b"\n")
    return lines


def _load_chunk(database: duckdb.DuckDBPyConnection, events: Path, chunk: bytes, end: int) -> None:
    with TemporaryDirectory() as folder:
        copied = Path(folder, "events.jsonl")
        copied.write_bytes(chunk)
        database.begin()
        try:
            database.execute(LOAD, {"file": str(copied)})
            last_line = _last_line(chunk)
            database.execute(SAVE_POSITION, {"path": str(events.resolve()), "bytes": end, "last_line": last_line})
            database.commit()
        except BaseException:
            database.rollback()
            raise


def _find_position(database: duckdb.DuckDBPyConnection, file: BinaryIO, events: Path) -> int:
    """Return where to continue: at the beginning if it is another file than last time, as after a rotation."""
    row = database.execute(
        "SELECT bytes, last_line FROM files_read WHERE path = $path", {"path": str(events.resolve())}
    ).fetchone()
    if row is None:
        return 0
    end, last_line = row
    file.seek(max(0, end - len(last_line)))
    return end if file.read(len(last_line)) == last_line else 0


def _whole_lines(file: BinaryIO, start: int) -> bytes:
    """Return the next chunk of lines, without a last one that has no line break yet."""
    file.seek(start)
    read = file.read(_CHUNK_BYTES)
    return read[: read.rfind(b"\n") + 1]


def _last_line(lines: bytes) -> bytes:
    return lines[lines.rfind(b"\n", 0, -1) + 1 :]


def _answers(database: duckdb.DuckDBPyConnection, shop: str, zone: str, top: int) -> Iterator[str]:
    yield f"\nThe shop {shop}"
    yield from _table(f"Sales by day ({zone})", database.execute(BY_DAY, {"shop": shop, "zone": zone}))
    yield from _table("The best customers", database.execute(BEST_CUSTOMERS, {"shop": shop, "top": top}))
    yield from _table("Most often bought together", database.execute(BOUGHT_TOGETHER, {"shop": shop, "top": top}))


def _table(title: str, answer: duckdb.DuckDBPyConnection) -> Iterator[str]:
    names = [column[0] for column in answer.description or ()]
    rows = [names, *([_shown(value) for value in row] for row in answer.fetchall())]
    widths = [max(len(row[column]) for row in rows) for column in range(len(names))]
    yield f"\n{title}"
    for row in (rows[0], ["-" * width for width in widths], *rows[1:]):
        yield _line(row, widths)


def _line(texts: Sequence[str], widths: Iterable[int]) -> str:
    return "  ".join(text.rjust(width) for text, width in zip(texts, widths, strict=True))


def _shown(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("events", type=Path, help="the file that the shop writes: shop.events.jsonl")
    parser.add_argument("--database", default="shop.duckdb", help="DuckDB's file (%(default)s)")
    parser.add_argument("--zone", default="UTC", help="the time zone of the days, such as Asia/Seoul (%(default)s)")
    parser.add_argument("--top", type=int, default=10, help="rows of the second and third answer (%(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
