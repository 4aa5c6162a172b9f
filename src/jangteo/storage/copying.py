"""A whole shop from one database into another: looked at before, all in one transaction, and looked at again."""

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, closing
from datetime import datetime
from functools import cache
from typing import Final, Literal, NamedTuple

from sqlalchemy import Table

from jangteo.storage import schema
from jangteo.storage.audit import findings
from jangteo.storage.errors import CannotOpen, NoShopYet
from jangteo.storage.port import Insert, Row, Session, Snapshot, Storage
from jangteo.storage.timestamps import to_micros

SHOP: Final = (
    schema.users,
    schema.products,
    schema.campaigns,
    schema.coupons,
    schema.orders,
    schema.order_items,
    schema.ledger_entries,
    schema.stock_movements,
    schema.shops,
    schema.event_batches,
    schema.outbox,
    schema.failed_events,
    schema.replays,
    schema.purged_events,
    schema.idempotency_records,
    schema.sales_deltas,
    schema.best_seller_windows,
    schema.best_seller_buckets,
    schema.best_seller_version,
)
OF_PROCESSES: Final = (schema.writers, schema.readiness, schema.leases, schema.platforms)
"""Not copied: they are about the processes at work on a database, not about the shop. A copied turn would keep the
relay of the new place waiting for one that isn't there, and nobody would ask for the transactions of a copied writer.
"""
_IN_EVERY_SHOP: Final = (schema.shops, schema.purged_events, schema.best_seller_windows, schema.best_seller_version)
"""An empty one has a row of these already; it is given the source's."""
PAGE_ROWS: Final = 5_000
"""So many rows are in memory at once, of each table: of the largest kind some 10 MiB."""

End = Literal["source", "target"]


class Looking(NamedTuple):
    """From here on the books of one end are looked at."""

    end: End


class Copied(NamedTuple):
    """How far it has come: rows of one table, and of all."""

    table: str
    table_rows: int
    whole_table: bool
    rows: int
    all_rows: int


class BooksNotRight(Exception):
    """The books of one end are not right; the message is one line for the operator."""


def copy_shop(
    source: Storage, target: Storage, clock: Callable[[], datetime]
) -> Generator[Looking | Copied, None, None]:
    """Copy all that belongs to a shop, and tell how far it is. The target stays empty until its books are looked at.

    The source is taken, and stays so until it is closed; so is the target where that is possible. Raises CannotOpen
    where one of them can't be used, is being served, or the target holds anything; BooksNotRight where the audit finds
    something on either end; another StorageError where a database fails.
    """
    _check_target(target, clock())
    source.take()
    with closing(source.connect()) as origin, closing(target.connect()) as copy, ExitStack() as reads:
        snapshot = reads.enter_context(origin.snapshot(clock()))
        _refuse_if_served(snapshot, "source")
        yield Looking("source")
        _audit(snapshot, "source")
        counts, transactions = _counts(snapshot), _transactions(snapshot)
        target.prepare()
        with copy.transaction() as session:
            _refuse_if_filled(session)
            yield from _copy_tables(snapshot, session, counts)
            # What goes wrong with the source must do so before the commit.
            reads.close()
            with origin.snapshot(clock()) as later:
                if _transactions(later) != transactions:
                    raise CannotOpen("the source was written to meanwhile; stop all of its servers and copy it again")
        yield Looking("target")
        with copy.snapshot(clock()) as written:
            _audit(written, "target")
            _compare(counts, _counts(written))


def _check_target(target: Storage, now: datetime) -> None:
    """Looked at before the source is, which may take minutes. Changes nothing."""
    try:
        target.check()
    except NoShopYet:
        return
    with closing(target.connect()) as connection, connection.snapshot(now) as snapshot:
        _refuse_if_served(snapshot, "target")
        _refuse_if_filled(snapshot)


def _refuse_if_served(snapshot: Snapshot, end: End) -> None:
    # Where several servers may be at work, one of them has the relay's turn, unless no relay runs at all.
    if snapshot.rows("SELECT 1 FROM leases WHERE expires_at > :now", now=to_micros(snapshot.now)):
        raise CannotOpen(f"the {end} is being served; stop all of its servers first")


def _refuse_if_filled(looked_at: Snapshot | Session) -> None:
    for table in SHOP:
        if table not in _IN_EVERY_SHOP and looked_at.rows(f"SELECT 1 FROM {table.name} LIMIT 1"):
            raise CannotOpen(f"the target holds a shop already ({table.name}); name an empty database")


def _audit(snapshot: Snapshot, end: End) -> None:
    for finding in findings(snapshot):
        if finding.broken:
            first = f"{finding.invariant}: {finding.broken[0]}"
            kept = "nothing was copied" if end == "source" else "don't use the target"
            raise BooksNotRight(f"the books of the {end} are not right ({first}), jangteo audit tells more; {kept}")


def _counts(snapshot: Snapshot) -> dict[str, int]:
    return {table.name: int(snapshot.rows(f"SELECT COUNT(*) FROM {table.name}")[0][0]) for table in SHOP}


def _compare(counts: Mapping[str, int], written: Mapping[str, int]) -> None:
    for name, count in counts.items():
        if written[name] != count:
            raise BooksNotRight(
                f"{name} has {written[name]:,} rows in the target, {count:,} in the source; don't use the target"
            )


def _transactions(snapshot: Snapshot) -> Row:
    """Where several servers may be at work, every transaction that writes counts on in its writer's row."""
    return snapshot.rows("SELECT COUNT(*), CAST(COALESCE(SUM(transactions), 0) AS BIGINT) FROM writers")[0]


def _copy_tables(snapshot: Snapshot, session: Session, counts: Mapping[str, int]) -> Iterator[Copied]:
    rows, all_rows = 0, sum(counts.values())
    for table in _IN_EVERY_SHOP:
        session.remove(table, [row[0] for row in session.rows(f"SELECT id FROM {table.name}")])
    for table in SHOP:
        insert, table_rows = Insert(table, tuple(table.c.keys())), 0
        for page in _pages(snapshot, table):
            session.bring_in(insert, page)
            table_rows += len(page)
            yield Copied(table.name, table_rows, whole_table=False, rows=rows + table_rows, all_rows=all_rows)
        rows += table_rows
        yield Copied(table.name, table_rows, whole_table=True, rows=rows, all_rows=all_rows)


def _pages(snapshot: Snapshot, table: Table) -> Iterator[list[Row]]:
    """All rows in order of their key, each page from behind the last one's last."""
    places = {name: table.c.keys().index(name) for name in _key(table)}
    page = snapshot.rows(_first_page(table), count=PAGE_ROWS)
    while page:
        yield page
        last = {name: page[-1][place] for name, place in places.items()}
        page = snapshot.rows(_next_page(table), **last, count=PAGE_ROWS)


def _key(table: Table) -> tuple[str, ...]:
    return tuple(column.name for column in table.primary_key)


@cache
def _first_page(table: Table) -> str:
    columns, names = ", ".join(table.c.keys()), ", ".join(_key(table))
    return f"SELECT {columns} FROM {table.name} ORDER BY {names} LIMIT :count"


@cache
def _next_page(table: Table) -> str:
    columns, names = ", ".join(table.c.keys()), ", ".join(_key(table))
    found = ", ".join(f":{name}" for name in _key(table))
    return f"SELECT {columns} FROM {table.name} WHERE ({names}) > ({found}) ORDER BY {names} LIMIT :count"
