"""The port's `Session` on PostgreSQL: one transaction on a pipeline, for a batch."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Table

from jangteo.storage.port import GuardedChange, Insert, Row, Value
from jangteo.storage.postgres.encoding import Parameter
from jangteo.storage.postgres.pipeline import PendingRows, Pipeline
from jangteo.storage.postgres.statements import (
    Write,
    columns_of,
    continue_after_largest_id,
    delete_selected,
    is_guarded,
    named,
    new_ids,
    with_ids,
    write_all,
)
from jangteo.storage.schema import has_sequence

BEGIN: Final = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
COMMIT: Final = "COMMIT"
# A write that means nothing: it makes the commit after it wait for the synchronous standbys. PostgreSQL shows rows only
# after the standbys have them, except those of a session that was ended while it waited, and after a restart.
CONFIRM: Final = "SELECT pg_logical_emit_message(TRUE, 'jangteo', '') IS NOT NULL"


class PostgresSession:
    """One transaction. Changes are collected, and written by one statement before the next read or the commit."""

    def __init__(self, pipeline: Pipeline, constants: dict[str, list[Row]]) -> None:
        self._pipeline = pipeline
        self._constants = constants
        self._begun = False
        self._writes: dict[Write, Sequence[Row]] = {}
        self.has_changes = False
        """Whether any rows were inserted or changed."""

    def rows(self, sql: str, **values: Value) -> list[Row]:
        """Run a statement and fetch its rows."""
        self._write()
        self._begin()
        return list(_send_named(self._pipeline, sql, values))

    def constant(self, sql: str) -> list[Row]:
        """Run a statement once per connection; return the rows of the first run."""
        if sql not in self._constants:
            self._constants[sql] = self.rows(sql)
        return self._constants[sql]

    def find(self, sql: str, ids: Collection[int] | Collection[str]) -> Iterable[Row]:
        """Send a query by ids."""
        # All integers or all texts; the type checker only knows the union.
        keys: list[Any] = sorted(ids)
        return self._send(with_ids(sql), [keys])

    def lock(self, table: Table, sql: str, ids: Collection[int]) -> Iterable[Row]:
        """Send a query by ids that locks the rows of the table."""
        return self._send(with_ids(sql, table.name), [sorted(ids)])

    def new_ids(self, counts: Mapping[Table, int]) -> Mapping[Table, Iterable[int]]:
        """Take ids from the tables' sequences; those that the transaction doesn't use are lost."""
        arrays = self._send(new_ids(tuple(counts)), list(counts.values()))
        return {table: _array(arrays, index) for index, table in enumerate(counts)}

    def insert(self, insert: Insert, rows: Sequence[Row]) -> None:
        """Collect new rows."""
        self._collect(insert, rows)

    def import_rows(self, insert: Insert, rows: Sequence[Row]) -> None:
        """Write rows that come from elsewhere. A sequence stays set when all else is undone: no harm."""
        self._collect(insert, rows)
        self._write()
        if has_sequence(insert.table):
            self._pipeline.send(continue_after_largest_id(insert.table))
        # Millions of rows may follow: bound the memory by waiting for these first.
        self._pipeline.sync()

    def change(self, change: GuardedChange, rows: Sequence[Row]) -> None:
        """Collect changes of rows; a guarded change that finds too few rows fails the statement with a Conflict."""
        self._collect(change, rows)

    def remove(self, table: Table, ids: Collection[int]) -> None:
        """Delete rows by their ids."""
        self._send(with_ids(f"DELETE FROM {table.name} WHERE id IN (:ids)"), [sorted(ids)])

    def delete(self, table: Table, sql: str, **values: Value) -> None:
        """Delete the rows whose keys a query selects, except those that other transactions have locked."""
        self._begin()
        _send_named(self._pipeline, delete_selected(table, sql), values)

    def run(self, sql: str, **values: Value) -> None:
        """Send a statement without rows."""
        self._begin()
        _send_named(self._pipeline, sql, values)

    def commit(self) -> None:
        """Write the collected changes and commit, in one round trip.

        Where there are synchronous standbys, they have everything that the batch's outcomes rest on by then: what it
        changed, and what it only read.
        """
        if not self._begun and not self._writes:
            return
        self._write()
        if self._pipeline.has_standbys and not self.has_changes:
            self._pipeline.send(CONFIRM)
        self._pipeline.send(COMMIT)
        self._pipeline.sync_commit()

    def _collect(self, write: Write, rows: Sequence[Row]) -> None:
        if write in self._writes:
            self._write()
        self._writes[write] = rows
        self.has_changes = True

    def _write(self) -> None:
        if self._writes:
            self._begin()
            counts = [len(rows) for write, rows in self._writes.items() if is_guarded(write)]
            shape = tuple((write, len(rows) == 1) for write, rows in self._writes.items())
            self._pipeline.send(write_all(shape), [*self._values(), *counts, self._pipeline.backend_id])
            self._writes.clear()

    def _values(self) -> Iterator[Parameter]:
        for write, rows in self._writes.items():
            if len(columns_of(write)) != len(rows[0]):
                raise ValueError(f"a row of {write.table.name} has {len(rows[0])} values")
            yield from rows[0] if len(rows) == 1 else zip(*rows, strict=True)

    def _send(self, sql: str, values: Sequence[Parameter]) -> PendingRows:
        # Write first, so that the statement sees the collected changes.
        self._write()
        self._begin()
        return self._pipeline.send(sql, values)

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            self._pipeline.send(BEGIN)


def _send_named(pipeline: Pipeline, sql: str, values: Mapping[str, Value]) -> PendingRows:
    text, names = named(sql)
    return pipeline.send(text, [values[name] for name in names])


def _array(rows: Iterable[Row], index: int) -> Iterator[int]:
    for row in rows:
        yield from row[index]
