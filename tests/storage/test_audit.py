"""The audit of a sound shop, and of one whose best sellers differ from its orders. `test_guards.py` has the rest."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from jangteo.storage.audit import findings
from jangteo.storage.urls import open_storage
from tests.storage.damage import NOW, STATISTICS, broken


def test_the_demo_shop_is_sound(demo_database: str) -> None:
    assert broken(demo_database) == []


def test_the_best_sellers_are_compared_with_every_order_item(demo_database: str) -> None:
    with closing(open_storage(demo_database).connect()) as connection, connection.snapshot(NOW) as snapshot:
        items = snapshot.rows("SELECT COUNT(*) FROM order_items")[0][0]
        checked = {finding.invariant: finding.checked for finding in findings(snapshot)}
    assert checked[STATISTICS] == items


def test_best_sellers_that_differ_from_the_orders_are_found(sqlite_demo: str) -> None:
    # The index that finds the orders of a window misses half of them.
    def leave_out_of_index(raw: sqlite3.Connection) -> None:
        index = raw.execute("SELECT sql, rootpage FROM sqlite_master WHERE name = 'orders_by_creation'").fetchone()
        raw.execute("PRAGMA writable_schema = ON")
        raw.execute("DELETE FROM sqlite_master WHERE name = 'orders_by_creation'")
        raw.commit()
        raw.execute("PRAGMA writable_schema = RESET")
        raw.execute("UPDATE orders SET created_at = created_at - 5 * 86400000000 WHERE id % 2 = 0")
        raw.execute("PRAGMA writable_schema = ON")
        raw.execute(
            "INSERT INTO sqlite_master (type, name, tbl_name, rootpage, sql) "
            "VALUES ('index', 'orders_by_creation', 'orders', ?, ?)",
            (index[1], index[0]),
        )

    with closing(sqlite3.connect(sqlite_demo.removeprefix("sqlite:///"))) as raw:
        leave_out_of_index(raw)
        raw.commit()
    assert broken(sqlite_demo) == [STATISTICS]
