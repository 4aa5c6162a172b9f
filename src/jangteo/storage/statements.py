"""SQL that reads whole tables in chunks, in order of their primary keys."""

from functools import cache

from sqlalchemy import Table


def key_of(table: Table) -> tuple[str, ...]:
    """The columns of the primary key."""
    return tuple(column.name for column in table.primary_key)


@cache
def first_chunk(table: Table) -> str:
    """The first `:count` rows."""
    return f"SELECT {_columns(table)} FROM {table.name} ORDER BY {_key(table)} LIMIT :count"


@cache
def next_chunk(table: Table) -> str:
    """The next `:count` rows after the one whose key is given, each column by its name."""
    last = ", ".join(f":{name}" for name in key_of(table))
    key = _key(table)
    return f"SELECT {_columns(table)} FROM {table.name} WHERE ({key}) > ({last}) ORDER BY {key} LIMIT :count"


def _columns(table: Table) -> str:
    return ", ".join(table.c.keys())


def _key(table: Table) -> str:
    return ", ".join(key_of(table))
