"""Builders of PostgreSQL's SQL: named values, collections of ids, and all changes of a batch in one statement.

A batch is written by one statement, because each costs a round trip. Several rows of a table are sent as one array per
column, which is several times faster than row by row.
"""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import count
from typing import Final, Literal

from sqlalchemy import Table, Text

from jangteo.storage.port import GuardedChange, Insert

GUARD_MARKER: Final = "jangteo: guarded rows changed"
"""Quoted in the error of a statement whose guarded changes found too few rows, whatever the server's language is."""
MOVED_MARKER: Final = "jangteo: another server process"
"""Quoted in the error of a statement that another server process runs than the one whose settings were stated."""

_NAMED: Final = re.compile(r"(?<![:\w]):([a-z_]+)")

Write = Insert | GuardedChange


@cache
def named(sql: str) -> tuple[str, tuple[str, ...]]:
    """Replace each `:name` with `$1`, `$2`, …; also return the names in the order of these numbers."""
    names = tuple(dict.fromkeys(_NAMED.findall(sql)))
    return _NAMED.sub(lambda match: f"${names.index(match[1]) + 1}", sql), names


@cache
def with_ids(sql: str, locked_table: str | None = None) -> str:
    """Bind `IN (:ids)` as one array, `$1`; lock the rows of a table in the order in which they are found."""
    bound = sql.replace("IN (:ids)", "= ANY($1)")
    return bound if locked_table is None else f"{bound} FOR NO KEY UPDATE OF {locked_table}"


@cache
def delete_selected(table: Table, keys_sql: str) -> str:
    """Delete the rows whose keys a query selects, except those that other transactions have locked.

    Transactions that delete the same rows lock them in different orders: waiting for each other they would deadlock.
    """
    (key,) = table.primary_key.columns.keys()
    return f"DELETE FROM {table.name} WHERE {key} = ANY(ARRAY({keys_sql} FOR UPDATE SKIP LOCKED))"


@cache
def new_ids(tables: tuple[Table, ...]) -> str:
    """Select one row with an array of new ids for each table, from its sequence; `$n` is how many of the n-th."""
    return "SELECT " + ", ".join(
        f"ARRAY(SELECT nextval('{table.name}_ids') FROM generate_series(1, ${number}))"
        for number, table in enumerate(tables, 1)
    )


@cache
def continue_after_largest_id(table: Table) -> str:
    """Set the table's sequence to its largest id."""
    return f"SELECT setval({_sequence(table)}, MAX(id)) FROM {table.name}"


@cache
def take_ids(table: Table) -> str:
    """Take `%s` ids from the table's sequence and select the last of them."""
    return f"SELECT MAX(id) FROM (SELECT nextval({_sequence(table)}) AS id FROM generate_series(1, %s)) AS taken"


def last_and_largest_ids(tables: Sequence[Table]) -> str:
    """Select, for each table with a sequence, its name, the last id that the sequence gave, and the largest id."""
    return " UNION ALL ".join(
        f"SELECT '{table.name}', {_last_id(table)}, COALESCE((SELECT MAX(id) FROM {table.name}), 0)" for table in tables
    )


@cache
def write_all(writes: tuple[tuple[Write, bool], ...]) -> str:
    """Make one statement of all these writes; each comes with whether it writes a single row.

    Its parameters are the values of a single row one by one, of several rows as one array per column; then, for each
    guarded change, how many rows it must find, and last the id of the session's server process. If a change finds fewer
    rows, the statement fails with invalid_text_representation (22P02) and a message that quotes GUARD_MARKER: a
    conflict, and no other error of a batch can be taken for it. In another server process it quotes MOVED_MARKER.
    """
    numbers = count(1)
    steps = ", ".join(
        [
            f"step_{index} AS ({_step(*each, numbers)}{_after_changes(writes, index)})"
            for index, each in enumerate(writes)
        ]
    )
    guarded = [index for index, (write, _) in enumerate(writes) if is_guarded(write)]
    guards = [
        f"(SELECT COUNT(*) FROM step_{index}) = ${number}" for index, number in zip(guarded, numbers, strict=False)
    ]
    unchanged = " AND ".join(guards) or "TRUE"
    moved = f"WHEN pg_backend_pid() <> ${next(numbers)} THEN '{MOVED_MARKER}'"
    # The cast is outside of the CASE, so that the planner can't evaluate it before the counts are known.
    return f"WITH {steps} SELECT CAST(CASE {moved} WHEN {unchanged} THEN '1' ELSE '{GUARD_MARKER}' END AS BIGINT)"


def grant_create(schema: str, role: str) -> str:
    """Allow a role to create tables; an operator runs it. Both names are quoted where they need to be."""
    return f"GRANT CREATE ON SCHEMA {schema} TO {role}"


def grant_all(rights: Sequence[str], kind: Literal["TABLES", "SEQUENCES"], schema: str, role: str) -> str:
    """Give a role rights on everything of a kind; an operator runs it."""
    return f"GRANT {', '.join(rights)} ON ALL {kind} IN SCHEMA {schema} TO {role}"


def set_search_path(schema: str) -> str:
    """Choose a role's schema; an operator runs it, with the role's name."""
    return f"ALTER ROLE … SET search_path = {schema}"


def is_guarded(write: Write) -> bool:
    """Whether every row of the write must be found as it was loaded."""
    return isinstance(write, GuardedChange) and bool(write.guards)


def columns_of(write: Write) -> Sequence[str]:
    """Return the columns of a write's rows, in their order."""
    if isinstance(write, Insert):
        return write.columns
    return (*write.set_columns, "id", *write.guards)


def _sequence(table: Table) -> str:
    if table.c.id.identity is None:
        return f"'{table.name}_ids'::regclass"
    return f"pg_get_serial_sequence('{table.name}', 'id')::regclass"


def _last_id(table: Table) -> str:
    if table.c.id.identity is None:
        # One that gave no id yet may have been set to give any as its first.
        return f"(SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END FROM {table.name}_ids)"
    # PostgreSQL chose its name.
    return f"COALESCE(pg_sequence_last_value({_sequence(table)}), 0)"


def _step(write: Write, is_one_row: bool, numbers: Iterator[int]) -> str:  # noqa: FBT001 - unpacked from a pair
    table, array = write.table, "" if is_one_row else "[]"
    values = [f"${next(numbers)}::{_sql_type(table, column)}{array}" for column in columns_of(write)]
    if isinstance(write, Insert):
        columns, arrays = ", ".join(write.columns), ", ".join(values)
        rows = f"SELECT {arrays}" if is_one_row else f"SELECT * FROM unnest({arrays})"
        return f"INSERT INTO {table.name} ({columns}) {rows}"
    return _changed_row(write, values) if is_one_row else _changed_rows(write, values)


def _after_changes(writes: tuple[tuple[Write, bool], ...], index: int) -> str:
    """A condition that runs an insert after the changes of its table that come before it.

    PostgreSQL runs the steps of one statement in no order of its own, and checks unique indexes row by row: a new order
    with the coupon of an order cancelled in the same batch must come after that change. Reading a step runs it first.
    """
    write, _ = writes[index]
    earlier = [
        f"(SELECT COUNT(*) FROM step_{number}) >= 0"
        for number, (change, _) in enumerate(writes[:index])
        if isinstance(write, Insert) and isinstance(change, GuardedChange) and change.table is write.table
    ]
    return f" WHERE {' AND '.join(earlier)}" if earlier else ""


def _changed_row(write: GuardedChange, values: Sequence[str]) -> str:
    table, new, (row_id, *old) = write.table.name, values, values[len(write.set_columns) :]
    changes = ", ".join(f"{column} = {value}" for column, value in zip(write.set_columns, new, strict=False))
    unchanged = (f"{column} IS NOT DISTINCT FROM {value}" for column, value in zip(write.guards, old, strict=True))
    condition = " AND ".join([f"id = {row_id}", *unchanged])
    return f"UPDATE {table} SET {changes} WHERE {condition} RETURNING 1"


def _changed_rows(write: GuardedChange, values: Sequence[str]) -> str:
    table, arrays = write.table.name, ", ".join(values)
    old, new = (f"old_{each}" for each in write.guards), (f"new_{each}" for each in write.set_columns)
    names = ", ".join([*new, "row_id", *old])
    changes = ", ".join(f"{column} = new_{column}" for column in write.set_columns)
    unchanged = (f"{table}.{column} IS NOT DISTINCT FROM old_{column}" for column in write.guards)
    condition = " AND ".join([f"{table}.id = row_id", *unchanged])
    return f"UPDATE {table} SET {changes} FROM unnest({arrays}) AS rows ({names}) WHERE {condition} RETURNING 1"


def _sql_type(table: Table, column: str) -> str:
    return "text" if isinstance(table.c[column].type, Text) else "bigint"
