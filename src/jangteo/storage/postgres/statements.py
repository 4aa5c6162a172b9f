"""From the port's words to PostgreSQL's: named values, collections of ids, a batch's changes as one statement.

A batch is written as one statement, because each costs a way to the server and back: every table's rows come as arrays,
one a column, which is several times faster than row by row.
"""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import count
from typing import Final

from sqlalchemy import Table, Text

from jangteo.storage.port import GuardedChange, Insert

_NAMED: Final = re.compile(r"(?<![:\w]):([a-z_]+)")

Write = Insert | GuardedChange


@cache
def named(sql: str) -> tuple[str, tuple[str, ...]]:
    """With `$1`, `$2`, … for `:name`s; and which name has which number."""
    names = tuple(dict.fromkeys(_NAMED.findall(sql)))
    return _NAMED.sub(lambda found: f"${names.index(found[1]) + 1}", sql), names


@cache
def with_ids(sql: str, held: str | None = None) -> str:
    """`IN (:ids)` as one array, `$1`, whose rows are held in the order they are found."""
    found = sql.replace("IN (:ids)", "= ANY($1)")
    return found if held is None else f"{found} FOR NO KEY UPDATE OF {held}"


@cache
def delete_found(table: Table, found: str) -> str:
    """Rows deleted by the keys that a query finds, without those that others lock.

    Several find the same rows, each in an order of its own: waiting for them, they would wait in a circle.
    """
    (key,) = table.primary_key.columns.keys()
    return f"DELETE FROM {table.name} WHERE {key} = ANY(ARRAY({found} FOR UPDATE SKIP LOCKED))"


@cache
def new_ids(tables: tuple[Table, ...]) -> str:
    """So many ids for each table, from its sequence: one row of arrays."""
    return "SELECT " + ", ".join(
        f"ARRAY(SELECT nextval('{table.name}_ids') FROM generate_series(1, ${number}))"
        for number, table in enumerate(tables, 1)
    )


@cache
def id_behind_largest(table: Table) -> str:
    """The table's sequence goes on behind the largest id."""
    own = table.c.id.identity is not None
    sequence = f"pg_get_serial_sequence('{table.name}', 'id')::regclass" if own else f"'{table.name}_ids'"
    return f"SELECT setval({sequence}, MAX(id)) FROM {table.name}"


@cache
def write_all(writes: tuple[tuple[Write, bool], ...]) -> str:
    """One statement that makes all these changes; of each is said whether it is one row only.

    A row's values come one by one, several rows as arrays of their columns; behind them all, for each guarded change,
    how many rows it has. It fails with a division by zero where one doesn't find all of its rows as they were loaded.
    """
    numbers = count(1)
    steps = ", ".join(
        [
            f"step_{place} AS ({_step(*each, numbers)}{_after_changes(writes, place)})"
            for place, each in enumerate(writes)
        ]
    )
    guarded = [place for place, (write, _) in enumerate(writes) if is_guarded(write)]
    guards = [
        f"(SELECT COUNT(*) FROM step_{place}) = ${number}" for place, number in zip(guarded, numbers, strict=False)
    ]
    unchanged = " AND ".join(guards) or "TRUE"
    return f"WITH {steps} SELECT 1 / CASE WHEN {unchanged} THEN 1 ELSE 0 END"


def is_guarded(write: Write) -> bool:
    """Whether it matters that all of its rows are found as they were loaded."""
    return isinstance(write, GuardedChange) and bool(write.guards)


def columns_of(write: Write) -> Sequence[str]:
    """The columns of a change's rows, in their order."""
    if isinstance(write, Insert):
        return write.columns
    return (*write.set_columns, "id", *write.guards)


def _step(write: Write, is_one_row: bool, numbers: Iterator[int]) -> str:  # noqa: FBT001 - a pair, as it is cached
    table, array = write.table, "" if is_one_row else "[]"
    values = [f"${next(numbers)}::{_kind(table, column)}{array}" for column in columns_of(write)]
    if isinstance(write, Insert):
        columns, arrays = ", ".join(write.columns), ", ".join(values)
        rows = f"SELECT {arrays}" if is_one_row else f"SELECT * FROM unnest({arrays})"
        return f"INSERT INTO {table.name} ({columns}) {rows}"
    return _changed_row(write, values) if is_one_row else _changed_rows(write, values)


def _after_changes(writes: tuple[tuple[Write, bool], ...], place: int) -> str:
    """Has an insert read the changes of its table that come before it.

    PostgreSQL runs the steps of one statement in no order of its own, and checks unique indexes row by row: a new order
    with the coupon of one that is cancelled in the same batch must come after that change.
    """
    write, _ = writes[place]
    earlier = [
        f"(SELECT COUNT(*) FROM step_{number}) >= 0"
        for number, (change, _) in enumerate(writes[:place])
        if isinstance(write, Insert) and isinstance(change, GuardedChange) and change.table is write.table
    ]
    return f" WHERE {' AND '.join(earlier)}" if earlier else ""


def _changed_row(write: GuardedChange, values: Sequence[str]) -> str:
    table, new, (row_id, *old) = write.table.name, values, values[len(write.set_columns) :]
    changes = ", ".join(f"{column} = {value}" for column, value in zip(write.set_columns, new, strict=False))
    unchanged = (f"{column} IS NOT DISTINCT FROM {value}" for column, value in zip(write.guards, old, strict=True))
    found = " AND ".join([f"id = {row_id}", *unchanged])
    return f"UPDATE {table} SET {changes} WHERE {found} RETURNING 1"


def _changed_rows(write: GuardedChange, values: Sequence[str]) -> str:
    table, arrays = write.table.name, ", ".join(values)
    old, new = (f"old_{each}" for each in write.guards), (f"new_{each}" for each in write.set_columns)
    names = ", ".join([*new, "row_id", *old])
    changes = ", ".join(f"{column} = new_{column}" for column in write.set_columns)
    unchanged = (f"{table}.{column} IS NOT DISTINCT FROM old_{column}" for column in write.guards)
    found = " AND ".join([f"{table}.id = row_id", *unchanged])
    return f"UPDATE {table} SET {changes} FROM unnest({arrays}) AS rows ({names}) WHERE {found} RETURNING 1"


def _kind(table: Table, column: str) -> str:
    return "text" if isinstance(table.c[column].type, Text) else "bigint"
