"""SQL that reads whole tables in chunks, in order of their primary keys."""

from functools import cache

from sqlalchemy import Table


def key_of(table: Table) -> tuple[str, ...]:
    """The columns of the primary key."""
    return tuple(column.name for column in table.primary_key)


@cache
def first_chunk(table: Table) -> str:
    """The first `:count` rows."""
    columns, key = ", ".join(table.c.keys()), ", ".join(key_of(table))
    return f"SELECT {columns} FROM {table.name} ORDER BY {key} LIMIT :count"


@cache
def next_chunk(table: Table) -> str:
    """The next `:count` rows after the one whose key is given, each column by its name."""
    columns, key = ", ".join(table.c.keys()), ", ".join(key_of(table))
    values = ", ".join(f":{name}" for name in key_of(table))
    return f"SELECT {columns} FROM {table.name} WHERE ({key}) > ({values}) ORDER BY {key} LIMIT :count"
