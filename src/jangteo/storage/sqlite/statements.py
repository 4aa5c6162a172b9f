"""SQLite's statements, built from the port's tables, changes and queries. Values are always bound."""

from functools import cache

from sqlalchemy import Table

from jangteo.storage.port import GuardedChange, Insert


@cache
def with_ids(sql: str) -> str:
    """Replace `(:ids)` by a query that reads the ids from one JSON array."""
    return sql.replace("(:ids)", "(SELECT value FROM json_each(:ids))")


@cache
def with_id(sql: str) -> str:
    """Replace `IN (:ids)` by a comparison with one id, `:id`."""
    return sql.replace("IN (:ids)", "= :id")


@cache
def join_texts(texts: str) -> str:
    """Join the texts that a query finds into one, a line each, in order of their ids."""
    return f"""
        SELECT group_concat(text, char(10)) OVER everything FROM ({texts}) AS found
        WINDOW everything AS (ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)
        LIMIT 1
    """


@cache
def largest_ids(tables: tuple[Table, ...]) -> str:
    """Read the largest id of each table, in one row; 0 for an empty table."""
    return "SELECT " + ", ".join(f"(SELECT COALESCE(MAX(id), 0) FROM {table.name})" for table in tables)


@cache
def delete_found(table: Table, keys: str) -> str:
    """Delete the rows whose primary keys a query finds."""
    (key,) = table.primary_key.columns.keys()
    return f"DELETE FROM {table.name} WHERE {key} IN ({keys})"


@cache
def insert_row(insert: Insert) -> str:
    """Insert one row, its values bound by position."""
    return insert_rows(insert, 1)


@cache
def insert_rows(insert: Insert, count: int) -> str:
    """Insert so many rows at once, their values bound by position, row after row."""
    row = f"({', '.join('?' * len(insert.columns))})"
    return f"INSERT INTO {insert.table.name} ({', '.join(insert.columns)}) VALUES {', '.join([row] * count)}"


@cache
def change_row(change: GuardedChange) -> str:
    """Update one row if its guard columns still hold the loaded values: new values, id and old values are bound."""
    columns = ", ".join(f"{column} = ?" for column in change.set_columns)
    unchanged = " AND ".join(["id = ?", *(f"{column} IS ?" for column in change.guards)])
    return f"UPDATE {change.table.name} SET {columns} WHERE {unchanged}"


def set_busy_timeout(timeout_ms: int) -> str:
    """Set how long a statement waits for a lock. A PRAGMA takes no bound values."""
    return f"PRAGMA busy_timeout = {timeout_ms:d}"


def set_cache_size(kib: int) -> str:
    """Set how much of the database a connection keeps in memory, in KiB. A PRAGMA takes no bound values."""
    return f"PRAGMA cache_size = -{kib:d}"
