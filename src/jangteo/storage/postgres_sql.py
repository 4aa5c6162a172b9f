"""From the port's words to PostgreSQL's: named values, collections of ids, a batch's changes as one statement.

A batch is written as one statement, because each costs a way to the server and back: every table's rows come as arrays,
one a column, which is several times faster than row by row.
"""

import re
from collections.abc import Sequence
from functools import cache
from typing import Final

from sqlalchemy import Table, Text

from jangteo.storage.port import GuardedChange, Insert

_NAMED: Final = re.compile(r"(?<![:\w]):([a-z_]+)")

Write = Insert | GuardedChange


@cache
def named(sql: str) -> str:
    """`:name` as the driver spells it."""
    return _NAMED.sub(r"%(\1)s", sql.replace("%", "%%"))


@cache
def with_ids(sql: str, kind: str, held: str | None = None) -> str:
    """`IN (:ids)` as one array of this kind of value, whose rows are held in the order they are found."""
    found = named(sql.replace("IN (:ids)", f"= ANY(:ids::{kind}[])"))
    return found if held is None else f"{found} FOR NO KEY UPDATE OF {held}"


@cache
def deleted(table: Table, sql: str) -> str:
    """Rows deleted by the keys that a query finds, without those that others hold.

    Several find the same rows, each in an order of its own: waiting for them, they would wait in a circle.
    """
    (key,) = table.primary_key.columns.keys()
    found = named(sql)
    return f"DELETE FROM {table.name} WHERE {key} = ANY(ARRAY({found} FOR UPDATE SKIP LOCKED))"


@cache
def new_ids(tables: tuple[Table, ...]) -> str:
    """So many ids for each table, from its sequence; all in one go."""
    return " UNION ALL ".join(
        f"SELECT {place}, nextval('{table.name}_ids') FROM generate_series(1, %s)" for place, table in enumerate(tables)
    )


@cache
def written(writes: tuple[Write, ...]) -> str:
    """One statement that makes all these changes, each from arrays of its columns and, for a guarded one, its count.

    It fails with a division by zero where a guarded change doesn't find all of its rows as they were loaded.
    """
    steps = ", ".join(f"step_{place} AS ({_step(write)})" for place, write in enumerate(writes))
    guards = [
        f"(SELECT COUNT(*) FROM step_{place}) = %s"
        for place, write in enumerate(writes)
        if isinstance(write, GuardedChange)
    ]
    unchanged = " AND ".join(guards) or "TRUE"
    return f"WITH {steps} SELECT 1 / CASE WHEN {unchanged} THEN 1 ELSE 0 END"


def columns_of(write: Write) -> Sequence[str]:
    """The columns of a change's rows, in their order."""
    if isinstance(write, Insert):
        return write.columns
    return (*write.set_columns, "id", *write.guards)


def _step(write: Write) -> str:
    table = write.table
    arrays = ", ".join(f"%b::{_kind(table, column)}[]" for column in columns_of(write))
    if isinstance(write, Insert):
        return f"INSERT INTO {table.name} ({', '.join(write.columns)}) SELECT * FROM unnest({arrays})"
    old, new = (f"old_{each}" for each in write.guards), (f"new_{each}" for each in write.set_columns)
    names = ", ".join([*new, "row_id", *old])
    changes = ", ".join(f"{column} = new_{column}" for column in write.set_columns)
    unchanged = (f"{table.name}.{column} IS NOT DISTINCT FROM old_{column}" for column in write.guards)
    found = " AND ".join([f"{table.name}.id = row_id", *unchanged])
    return f"UPDATE {table.name} SET {changes} FROM unnest({arrays}) AS rows ({names}) WHERE {found} RETURNING 1"


def _kind(table: Table, column: str) -> str:
    return "text" if isinstance(table.c[column].type, Text) else "bigint"
