"""What PostgreSQL is asked within one transaction, in the port's words: for a batch, and for questions."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Table

from jangteo.storage.port import GuardedChange, Insert, Row, Value
from jangteo.storage.postgres.encoding import Parameter
from jangteo.storage.postgres.pipeline import PendingRows, Pipeline
from jangteo.storage.postgres.statements import (
    Write,
    columns_of,
    delete_found,
    id_behind_largest,
    is_guarded,
    named,
    new_ids,
    with_ids,
    write_all,
)

BEGIN: Final = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
_BEGIN_READING: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
COMMIT: Final = "COMMIT"


class PostgresSnapshot:
    """One moment of the database."""

    def __init__(self, pipeline: Pipeline, now: datetime, connection_id: int) -> None:
        self._pipeline = pipeline
        self.now = now
        self.connection_id = connection_id
        pipeline.send(_BEGIN_READING)

    def rows(self, sql: str, **values: Value) -> list[Row]:
        """Run one statement and fetch what it finds."""
        return list(_send_named(self._pipeline, sql, values))

    def send(self, sql: str, **values: Value) -> Iterable[Row]:
        """Send one statement."""
        return _send_named(self._pipeline, sql, values)

    def find(self, sql: str, ids: Collection[int]) -> Iterable[Row]:
        """Find rows by ids."""
        return self._pipeline.send(with_ids(sql), [sorted(ids)])

    def lines(self, sql: str, ids: Collection[int]) -> str:
        """Find texts by ids."""
        rows = self._pipeline.send(with_ids(sql), [sorted(ids)])
        return "\n".join(text for _, text in sorted(rows))

    def close(self) -> None:
        """Let go of the moment."""
        self._pipeline.send(COMMIT)
        self._pipeline.sync()


class PostgresSession:
    """One transaction. What changes is gathered, and written in one statement before it is read or committed."""

    def __init__(self, pipeline: Pipeline, constants: dict[str, list[Row]]) -> None:
        self._pipeline = pipeline
        self._constants = constants
        self._begun = False
        self._writes: dict[Write, Sequence[Row]] = {}
        self.has_changes = False
        """Whether anything is to be written, or has been."""

    def rows(self, sql: str, **values: Value) -> list[Row]:
        """Run one statement and fetch what it finds."""
        self._write()
        self._begin()
        return list(_send_named(self._pipeline, sql, values))

    def constant(self, sql: str) -> list[Row]:
        """What a statement found the first time."""
        if sql not in self._constants:
            self._constants[sql] = self.rows(sql)
        return self._constants[sql]

    def find(self, sql: str, ids: Collection[int] | Collection[str]) -> Iterable[Row]:
        """Find rows by ids."""
        # Of one kind all of them, which a type can't say.
        wanted: list[Any] = sorted(ids)
        return self._send(with_ids(sql), [wanted])

    def lock(self, table: Table, sql: str, ids: Collection[int]) -> Iterable[Row]:
        """Find rows by ids, and lock them."""
        return self._send(with_ids(sql, table.name), [sorted(ids)])

    def new_ids(self, counts: Mapping[Table, int]) -> Mapping[Table, Iterable[int]]:
        """From the tables' sequences: what a transaction doesn't use in the end is never used."""
        found = self._send(new_ids(tuple(counts)), list(counts.values()))
        return {table: _column(found, place) for place, table in enumerate(counts)}

    def insert(self, insert: Insert, rows: Sequence[Row]) -> None:
        """Have new rows written."""
        self._gather(insert, rows)

    def bring_in(self, insert: Insert, rows: Sequence[Row]) -> None:
        """Write rows that come from elsewhere. A sequence stays set when all else is undone: no harm."""
        self._gather(insert, rows)
        self._write()
        if "id" in insert.columns and not insert.table.c.id.info.get("known"):
            self._pipeline.send(id_behind_largest(insert.table))
        # There may be millions more: they don't gather here.
        self._pipeline.sync()

    def change(self, change: GuardedChange, rows: Sequence[Row]) -> None:
        """Have rows changed that must still be as they were loaded."""
        self._gather(change, rows)

    def remove(self, table: Table, ids: Collection[int]) -> None:
        """Delete rows by their ids."""
        self._send(with_ids(f"DELETE FROM {table.name} WHERE id IN (:ids)"), [sorted(ids)])

    def delete(self, table: Table, sql: str, **values: Value) -> None:
        """Delete the rows whose keys a query finds, and wait for nobody."""
        self._begin()
        _send_named(self._pipeline, delete_found(table, sql), values)

    def run(self, sql: str, **values: Value) -> None:
        """Run one statement."""
        self._begin()
        _send_named(self._pipeline, sql, values)

    def commit(self) -> None:
        """Write what has been gathered and commit, in one go."""
        if not self._begun and not self._writes:
            return
        self._write()
        self._pipeline.send(COMMIT)
        self._pipeline.sync()

    def _gather(self, write: Write, rows: Sequence[Row]) -> None:
        if write in self._writes:
            self._write()
        self._writes[write] = rows
        self.has_changes = True

    def _write(self) -> None:
        if self._writes:
            self._begin()
            counts = [len(rows) for write, rows in self._writes.items() if is_guarded(write)]
            shape = tuple((write, len(rows) == 1) for write, rows in self._writes.items())
            self._pipeline.send(write_all(shape), [*self._values(), *counts])
            self._writes.clear()

    def _values(self) -> Iterator[Parameter]:
        for write, rows in self._writes.items():
            if len(columns_of(write)) != len(rows[0]):
                raise ValueError(f"a row of {write.table.name} has {len(rows[0])} values")
            yield from rows[0] if len(rows) == 1 else zip(*rows, strict=True)

    def _send(self, sql: str, values: Sequence[Parameter]) -> PendingRows:
        # What was changed before is seen.
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


def _column(found: Iterable[Row], place: int) -> Iterator[int]:
    for row in found:
        yield from row[place]
