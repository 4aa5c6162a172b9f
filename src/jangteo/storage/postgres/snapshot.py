"""The port's `Snapshot` on PostgreSQL: queries that are sent together take one round trip.

A snapshot that turns out to be one statement needs no transaction: a statement sees one consistent view by itself.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Final

from jangteo.storage.lookups import Lookups
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
        self._lookups = Lookups(self.find)
        self._is_one_statement = False
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
        return self._lookups.add(sql, key)

    def lines(self, sql: str, ids: Collection[int]) -> str:
        """Fetch texts by ids, one per line."""
        return "\n".join(text for _, text in sorted(self.find(sql, ids)))

    def counted_ids(self) -> Sequence[TableIds]:
        """Fetch what the sequences gave last."""
        return read_sequences(self.rows)

    def finish(self) -> None:
        """End the transaction, and await all rows in the same round trip.

        Where there are synchronous standbys it ends later: whether it needs their confirmation depends on its rows.
        """
        if self._pipeline.has_standbys:
            return
        self._is_one_statement = not self._has_begun and len(self._lookups) == 1
        self._lookups.send()
        self._commit()

    def close(self) -> None:
        """End the transaction. Where there are synchronous standbys, they have every row that was read by then."""
        if self._has_begun and self._pipeline.has_standbys and self._pipeline.rows_read > self._rows_before:
            self._pipeline.send(CONFIRM)
        self._commit()

    def _begin(self) -> None:
        if not self._has_begun and not self._is_one_statement:
            self._has_begun = True
            self._pipeline.send(_BEGIN)

    def _commit(self) -> None:
        if self._has_begun:
            self._has_begun = False
            self._pipeline.send(COMMIT)
        elif not self._is_one_statement:
            return
        self._is_one_statement = False
        self._pipeline.sync_commit()
