"""Copies a whole shop into another database: audits it, copies it in one transaction, and audits the copy."""

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, closing
from datetime import datetime
from typing import Final, Literal, NamedTuple

from sqlalchemy import Table

from jangteo.storage import schema
from jangteo.storage.audit import findings
from jangteo.storage.errors import CannotOpen, NoShopYet
from jangteo.storage.port import Insert, Row, Session, Snapshot, Storage
from jangteo.storage.statements import first_chunk, key_of, next_chunk
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
    schema.catalog_changes,
    schema.api_keys,
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
OF_PROCESSES: Final = (schema.writers, schema.readiness, schema.leases, schema.platforms, schema.compatibility)
"""Not copied: these are about a database and the processes that serve it, not about the shop. A copied lease would make
the new database's relay wait for one that isn't there.
"""
_IN_EVERY_SHOP: Final = (schema.shops, schema.purged_events, schema.best_seller_windows, schema.best_seller_version)
"""Even an empty shop has a row of these; the source's rows replace it."""
CHUNK_ROWS: Final = 5_000
"""Rows in memory at once: some 10 MiB of the largest ones."""

End = Literal["source", "target"]


class Auditing(NamedTuple):
    """Step: the audit of one end begins."""

    end: End


class Copied(NamedTuple):
    """Step: how many rows are copied, of the table at hand and of all tables."""

    table: str
    table_rows: int
    whole_table: bool
    rows: int
    all_rows: int


class AuditFailed(Exception):
    """The audit of one end found something; the message is one line for the operator."""


def copy_shop(
    source: Storage, target: Storage, clock: Callable[[], datetime]
) -> Generator[Auditing | Copied, None, None]:
    """Copy all that belongs to a shop, and yield each step. The target stays empty until all is copied.

    Takes the source until it is closed, and the target where the database can be taken. Raises CannotOpen where one of
    them can't be used, is being served, or the target holds anything; AuditFailed where the audit of either end finds
    something; another StorageError where a database fails.
    """
    _check_target(target, clock())
    source.take()
    with closing(source.connect()) as origin, closing(target.connect()) as copy, ExitStack() as reads:
        snapshot = reads.enter_context(origin.snapshot(clock()))
        _refuse_if_served(snapshot, "source")
        yield Auditing("source")
        _audit(snapshot, "source")
        counts, transactions = _counts(snapshot), _transactions(snapshot)
        target.prepare()
        with copy.transaction() as session:
            _refuse_if_filled(session)
            yield from _copy_tables(snapshot, session, counts)
            # A failure of the source must show before the commit.
            reads.close()
            with origin.snapshot(clock()) as later:
                if _transactions(later) != transactions:
                    raise CannotOpen("the source was written to meanwhile; stop all of its servers and copy it again")
        yield Auditing("target")
        with copy.snapshot(clock()) as written:
            _audit(written, "target")
            _compare(counts, _counts(written))


def _check_target(target: Storage, now: datetime) -> None:
    """Check the target before the source's audit, which may take minutes. Changes nothing."""
    try:
        target.check()
    except NoShopYet:
        return
    with closing(target.connect()) as connection, connection.snapshot(now) as snapshot:
        _refuse_if_served(snapshot, "target")
        _refuse_if_filled(snapshot)


def _refuse_if_served(snapshot: Snapshot, end: End) -> None:
    # Servers that share a database hold a lease, unless none of them runs a relay.
    if snapshot.rows("SELECT 1 FROM leases WHERE expires_at > :now", now=to_micros(snapshot.now)):
        raise CannotOpen(f"the {end} is being served; stop all of its servers first")


def _refuse_if_filled(target: Snapshot | Session) -> None:
    for table in SHOP:
        if table not in _IN_EVERY_SHOP and target.rows(f"SELECT 1 FROM {table.name} LIMIT 1"):
            raise CannotOpen(f"the target holds a shop already ({table.name}); name an empty database")


def _audit(snapshot: Snapshot, end: End) -> None:
    for finding in findings(snapshot):
        if finding.broken:
            first = f"{finding.invariant}: {finding.broken[0]}"
            advice = "nothing was copied" if end == "source" else "don't use the target"
            raise AuditFailed(f"the audit of the {end} failed ({first}); `jangteo audit` lists everything; {advice}")


def _counts(snapshot: Snapshot) -> dict[str, int]:
    return {table.name: int(snapshot.rows(f"SELECT COUNT(*) FROM {table.name}")[0][0]) for table in SHOP}


def _compare(counts: Mapping[str, int], written: Mapping[str, int]) -> None:
    for name, count in counts.items():
        if written[name] != count:
            raise AuditFailed(
                f"{name} has {written[name]:,} rows in the target, {count:,} in the source; don't use the target"
            )


def _transactions(snapshot: Snapshot) -> list[Row]:
    """The number of writing transactions so far, which every writer on PostgreSQL counts in its row."""
    return snapshot.rows("SELECT id, transactions FROM writers ORDER BY id")


def _copy_tables(snapshot: Snapshot, session: Session, counts: Mapping[str, int]) -> Iterator[Copied]:
    rows, all_rows = 0, sum(counts.values())
    for table in _IN_EVERY_SHOP:
        session.remove(table, [row[0] for row in session.rows(f"SELECT id FROM {table.name}")])
    for table in SHOP:
        insert, table_rows = Insert(table, tuple(table.c.keys())), 0
        for chunk in _chunks(snapshot, table):
            session.import_rows(insert, chunk)
            table_rows += len(chunk)
            yield Copied(table.name, table_rows, whole_table=False, rows=rows + table_rows, all_rows=all_rows)
        rows += table_rows
        yield Copied(table.name, table_rows, whole_table=True, rows=rows, all_rows=all_rows)


def _chunks(snapshot: Snapshot, table: Table) -> Iterator[list[Row]]:
    """All rows in order of their key; each chunk starts after the last row of the one before."""
    indexes = {name: table.c.keys().index(name) for name in key_of(table)}
    chunk = snapshot.rows(first_chunk(table), count=CHUNK_ROWS)
    while chunk:
        yield chunk
        last = {name: chunk[-1][index] for name, index in indexes.items()}
        chunk = snapshot.rows(next_chunk(table), **last, count=CHUNK_ROWS)
