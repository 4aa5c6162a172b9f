"""The schema that holds the shop: the session's `current_schema()`, for every statement of the session."""

from typing import Final

import psycopg

from jangteo.storage.compatibility import holds_shop
from jangteo.storage.errors import CannotOpen
from jangteo.storage.port import Row
from jangteo.storage.postgres.statements import set_search_path

_SCHEMAS: Final = """
    SELECT name, ARRAY(
        SELECT relname::TEXT FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
        WHERE nspname = name AND relkind IN ('r', 'p')
    )
    FROM unnest(current_schemas(FALSE)) WITH ORDINALITY AS path (name, position) ORDER BY position
"""


def read_tables(raw: psycopg.Connection[Row]) -> frozenset[str]:
    """Return the names of the tables in the session's schema.

    Raises CannotOpen if there is no schema, or if it holds no shop while another one of the search path does: with a
    schema made later, or another search path, a shop would be created or read beside the one that exists.
    """
    with raw.transaction():
        # The session's own is narrowed to that schema: see session_settings.
        raw.execute("SET LOCAL search_path TO DEFAULT")
        schemas = {str(name): frozenset(tables) for name, tables in raw.execute(_SCHEMAS)}
    if not schemas:
        raise CannotOpen(
            "no schema of the session's search_path exists and may be used: create one (CREATE SCHEMA), grant USAGE on "
            "it, or set search_path"
        )
    current, *others = schemas
    shop = next((name for name in others if holds_shop(schemas[name])), None)
    if shop is not None and not holds_shop(schemas[current]):
        raise CannotOpen(
            f'the session\'s schema "{current}" holds no shop, but "{shop}", later in its search_path, does: '
            f"choose one, in the URL (?options=-csearch_path%3D{shop}) "
            f"or for the role ({set_search_path(shop)})"
        )
    return schemas[current]
