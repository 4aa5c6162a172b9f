"""The sequences that ids come from, compared with the largest ids of their tables.

A sequence is behind after a restore of the tables alone: the ids that it gives are taken, and orders fail until it has
passed them.
"""

from collections.abc import Callable, Sequence
from typing import Final

import psycopg

from jangteo.storage.port import DATABASE_TIMEOUT_S, Row, TableIds
from jangteo.storage.postgres.connecting import cut_after
from jangteo.storage.postgres.statements import last_and_largest_ids, take_ids
from jangteo.storage.schema import COUNTED_TABLES, metadata

_LAST_AND_LARGEST: Final = last_and_largest_ids(COUNTED_TABLES)
_CHUNK: Final = 100_000
"""How many ids are taken by one statement; it takes some hundredths of a second."""


def read_sequences(run: Callable[[str], Sequence[Row]]) -> list[TableIds]:
    """Read every sequence by a function that runs a statement. Raises what that function raises."""
    return [TableIds(*row) for row in run(_LAST_AND_LARGEST)]


def advance_sequences(raw: psycopg.Connection[Row]) -> list[TableIds]:
    """Advance the sequences that are behind, and return what they were before. The connection commits by itself.

    Ids are taken until the largest is reached. Setting a sequence could move it back behind ids that other servers take
    meanwhile, which taking ids never does: at worst some ids are never used.
    """

    def run(sql: str, *values: int) -> list[Row]:
        with cut_after(raw, DATABASE_TIMEOUT_S):
            return raw.execute(sql.encode(), values).fetchall()

    behind = [each for each in read_sequences(run) if each.is_behind]
    for each in behind:
        statement, reached = take_ids(metadata.tables[each.table]), each.last_id
        while reached < each.largest_id:
            reached = run(statement, min(_CHUNK, each.largest_id - reached))[0][0]
    return behind
