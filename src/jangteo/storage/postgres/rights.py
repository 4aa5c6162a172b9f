"""What the role may do: what is missing is named at the start, with the GRANT that gives it, not by failed orders."""

from collections.abc import Sequence
from typing import Final

import psycopg

from jangteo.storage.errors import CannotOpen
from jangteo.storage.migrations import VERSION_TABLE
from jangteo.storage.port import Row
from jangteo.storage.postgres.statements import grant_all, grant_create
from jangteo.storage.schema import COUNTED_TABLES, compatibility, metadata

_ROLE: Final = """
    SELECT quote_ident(current_user), quote_ident(current_schema()), has_schema_privilege(current_schema(), 'CREATE')
"""
# A CASE, because each function refuses what is of another kind.
_MISSING: Final = """
    SELECT relname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE nspname = current_schema() AND NOT CASE
        WHEN relkind IN ('r', 'p') AND relname = ANY(%(tables)s) THEN
            (SELECT bool_and(has_table_privilege(pg_class.oid, name)) FROM unnest(%(table_rights)s::TEXT[]) AS name)
        WHEN relkind = 'S' AND relname = ANY(%(sequences)s) THEN
            (SELECT bool_and(has_sequence_privilege(pg_class.oid, name))
                FROM unnest(%(sequence_rights)s::TEXT[]) AS name)
        ELSE TRUE END
    ORDER BY relname
"""
_READ_ONLY: Final = (VERSION_TABLE, compatibility.name)
"""Written by migrations only."""
_WRITTEN: Final = tuple(name for name in metadata.tables if name not in _READ_ONLY)
_SEQUENCES: Final = tuple(
    f"{table.name}_{'ids' if table.c.id.identity is None else 'id_seq'}" for table in COUNTED_TABLES
)


def check_may_create(raw: psycopg.Connection[Row]) -> None:
    """Raise CannotOpen if the role may not create tables in the session's schema, which migrations do."""
    role, schema, may_create = _fetch_role(raw)
    if not may_create:
        raise CannotOpen(
            f"the database can't be migrated: role {role} may not create tables in schema {schema}; "
            f"its owner can allow it ({grant_create(schema, role)}) or run jangteo migrate"
        )


def check_may_read(raw: psycopg.Connection[Row]) -> None:
    """Raise CannotOpen if the role may not read every table and sequence of the shop in the session's schema."""
    _check(raw, (*_WRITTEN, *_READ_ONLY), ("SELECT",), ("SELECT",))


def check_may_write(raw: psycopg.Connection[Row]) -> None:
    """Raise CannotOpen if the role may not do all that serving the shop takes; creating tables is not part of it."""
    _check(raw, _WRITTEN, ("SELECT", "INSERT", "UPDATE", "DELETE"), ("USAGE", "SELECT", "UPDATE"))


def _check(
    raw: psycopg.Connection[Row], tables: Sequence[str], table_rights: Sequence[str], sequence_rights: Sequence[str]
) -> None:
    values = {
        "tables": list(tables),
        "sequences": list(_SEQUENCES),
        "table_rights": list(table_rights),
        "sequence_rights": list(sequence_rights),
    }
    missing = [str(name) for (name,) in raw.execute(_MISSING, values)]
    if missing:
        role, schema, _ = _fetch_role(raw)
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise CannotOpen(
            f"role {role} lacks rights on {missing[0]}{more}; their owner can grant them: "
            f"{grant_all(table_rights, 'TABLES', schema, role)}; "
            f"{grant_all(sequence_rights, 'SEQUENCES', schema, role)}"
        )


def _fetch_role(raw: psycopg.Connection[Row]) -> tuple[str, str, bool]:
    ((role, schema, may_create),) = raw.execute(_ROLE).fetchall()
    return str(role), str(schema), bool(may_create)
