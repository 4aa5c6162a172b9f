"""The port's `Snapshot` on PostgreSQL: queries that are sent together take one round trip.

Queries by id that are equal but for the id become one statement. A snapshot that turns out to be one statement needs no
transaction: a statement sees one consistent view by itself.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final

from jangteo.storage.port import Row, TableIds, Value
from jangteo.storage.postgres.pipeline import PendingRows, Pipeline
from jangteo.storage.postgres.sequences import read_sequences
from jangteo.storage.postgres.session import COMMIT, CONFIRM
from jangteo.storage.postgres.statements import named, with_ids

_BEGIN: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


class PostgresSnapshot:
    """One consistent view of the database."""

    def __init__(self, pipeline: Pipeline, now: datetime, connection_id: int) -> None:
        self._pipeline = pipeline
        self.now = now
        self.connection_id = connection_id
        self._rows_before = pipeline.rows_read
        self._lookups: dict[str, _Lookup] = {}
        """Those that have not been sent, by their SQL."""
        self._has_begun = False

    def rows(self, sql: str, **values: Value) -> list[Row]:
        """Run a statement and fetch its rows."""
        return list(self.send(sql, **values))

    def send(self, sql: str, **values: Value) -> PendingRows:
        """Send a statement; its rows are awaited when they are iterated."""
        self._begin()
        text, names = named(sql)
        return self._pipeline.send(text, [values[name] for name in names])

    def find(self, sql: str, ids: Collection[int]) -> PendingRows:
        """Send a query by ids."""
        self._begin()
        return self._pipeline.send(with_ids(sql), [sorted(ids)])

    def look_up(self, sql: str, key: int) -> Iterable[Row]:
        """Collect a query by one id; all that were collected are sent when rows of one of them are iterated."""
        lookup = self._lookups.get(sql)
        if lookup is None:
            lookup = self._lookups[sql] = _Lookup(self)
        return lookup.add(key)

    def lines(self, sql: str, ids: Collection[int]) -> str:
        """Fetch texts by ids, one per line."""
        return "\n".join(text for _, text in sorted(self.find(sql, ids)))

    def counted_ids(self) -> Sequence[TableIds]:
        """Fetch what the sequences gave last."""
        return read_sequences(self.rows)

    def send_lookups(self) -> None:
        """Send the queries by id that were collected."""
        self._begin()
        self._send_lookups()

    def finish(self) -> None:
        """End the transaction, and await all rows in the same round trip.

        Where there are synchronous standbys it ends later: whether it needs their confirmation depends on its rows.
        """
        if self._pipeline.has_standbys:
            return
        if self._has_begun or len(self._lookups) > 1:
            self.send_lookups()
            self._pipeline.send(COMMIT)
            self._has_begun = False
        else:
            self._send_lookups()
        self._pipeline.sync_commit()

    def close(self) -> None:
        """End the transaction. Where there are synchronous standbys, they have every row that was read by then."""
        if not self._has_begun:
            return
        if self._pipeline.has_standbys and self._pipeline.rows_read > self._rows_before:
            self._pipeline.send(CONFIRM)
        self._pipeline.send(COMMIT)
        self._pipeline.sync_commit()

    def _begin(self) -> None:
        if not self._has_begun:
            self._has_begun = True
            self._pipeline.send(_BEGIN)

    def _send_lookups(self) -> None:
        lookups, self._lookups = self._lookups, {}
        for sql, lookup in lookups.items():
            lookup.rows = self._pipeline.send(with_ids(sql), [sorted(lookup.ids)])


class _Lookup:
    """A query by ids: several queries by one id in one statement."""

    def __init__(self, snapshot: PostgresSnapshot) -> None:
        self._snapshot = snapshot
        self.ids: set[int] = set()
        self.rows: PendingRows | None = None
        """Once it has been sent."""
        self._by_id: dict[int, list[Row]] | None = None

    def add(self, key: int) -> Iterator[Row]:
        """Look for an id, too; iterating awaits its rows."""
        self.ids.add(key)
        return self._rows_of(key)

    def _rows_of(self, key: int) -> Iterator[Row]:
        if self._by_id is None:
            self._by_id = self._read()
        yield from self._by_id.get(key, ())

    def _read(self) -> dict[int, list[Row]]:
        if self.rows is None:
            self._snapshot.send_lookups()
        by_id: dict[int, list[Row]] = {}
        for row in self.rows or ():
            by_id.setdefault(row[0], []).append(row)
        return by_id
