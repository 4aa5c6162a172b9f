"""Damages a shop by SQL, as no command would, and asks the audit which invariants are broken."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from typing import Final, Literal, NamedTuple

import psycopg

from jangteo.storage.audit import CHECKS, findings
from jangteo.storage.urls import open_storage

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
STATISTICS = "the statistics equal the orders"
SEQUENCES = "no sequence is behind its table"
ALL = [*(check.invariant for check in CHECKS), STATISTICS, SEQUENCES]

ORPHANS: Final = "every row belongs to something that exists"


class Case(NamedTuple):
    """A rule, the SQL that breaks it, and who notices: a constraint (`table.name`) or an invariant."""

    rule: str
    sql: str
    guard: Literal["schema", "audit"]
    name: str


def damage(database: str, sql: str) -> None:
    if database.startswith("sqlite"):
        with closing(sqlite3.connect(database.removeprefix("sqlite:///"))) as raw:
            raw.executescript(sql)
    else:
        with psycopg.connect(database) as connection:
            connection.execute(sql.encode())


def broken(database: str) -> list[str]:
    with closing(open_storage(database).connect()) as connection, connection.snapshot(NOW) as snapshot:
        found = list(findings(snapshot))
    assert [finding.invariant for finding in found] == ALL
    assert all(finding.checked for finding in found), "an empty table proves nothing"
    return [finding.invariant for finding in found if finding.broken]
