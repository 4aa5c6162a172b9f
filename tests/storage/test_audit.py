"""The auditor finds every kind of damage: one test an invariant, on a shop that was right before."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from jangteo import demo
from jangteo.storage.audit import CHECKS, findings
from jangteo.storage.urls import open_storage
from tests.postgres import EMPTY_SHOP, Server

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
STATISTICS = "the statistics equal the orders"
ALL = [*(check.invariant for check in CHECKS), STATISTICS]


@pytest.fixture(scope="session")
def demo_file(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("demo") / "demo.db"
    shutil.copy(empty_database, path)
    assert demo.fill(open_storage(f"sqlite:///{path}"), lambda: NOW)
    return path


@pytest.fixture(scope="session")
def demo_template(postgres: Server) -> str:
    assert demo.fill(open_storage(postgres.create("demo", EMPTY_SHOP)), lambda: NOW)
    return "demo"


@pytest.fixture
def sqlite_demo(demo_file: Path, tmp_path: Path) -> str:
    return f"sqlite:///{shutil.copy(demo_file, tmp_path / 'demo.db')}"


@pytest.fixture
def postgres_demo(postgres: Server, demo_template: str) -> Iterator[str]:
    yield postgres.create("damaged", demo_template)
    postgres.drop("damaged")


@pytest.fixture(params=["sqlite", "postgres"])
def demo_database(request: pytest.FixtureRequest) -> str:
    """The demo shop, to be damaged."""
    url: str = request.getfixturevalue(f"{request.param}_demo")
    return url


def broken(database: str) -> list[str]:
    connection = open_storage(database).connect()
    with connection.snapshot(NOW) as snapshot:
        found = list(findings(snapshot))
    connection.close()
    assert [finding.invariant for finding in found] == ALL
    assert all(finding.checked for finding in found), "an empty table proves nothing"
    return [finding.invariant for finding in found if finding.broken]


def test_the_demo_shop_is_right(demo_database: str) -> None:
    assert broken(demo_database) == []


def test_the_statistics_are_checked_against_every_line(demo_database: str) -> None:
    connection = open_storage(demo_database).connect()
    with connection.snapshot(NOW) as snapshot:
        lines = snapshot.rows("SELECT COUNT(*) FROM order_items")[0][0]
        checked = {finding.invariant: finding.checked for finding in findings(snapshot)}
    connection.close()
    assert checked[STATISTICS] == lines


DAMAGE: dict[str, str] = {
    "every balance is the sum of its ledger": "UPDATE users SET balance = balance + 1 WHERE id = 3",
    "every ledger is a chain without a gap, every balanceAfter the sum up to its entry": """
        UPDATE ledger_entries SET balance_after = balance_after + 1
        WHERE id = (SELECT MIN(id) FROM ledger_entries WHERE user_id = 3 AND kind = 'payment')
    """,
    "every order has its payment in the ledger, every cancelled one its refund": """
        UPDATE ledger_entries SET kind = 'charge', order_id = NULL
        WHERE id = (SELECT MIN(id) FROM ledger_entries WHERE user_id = 3 AND kind = 'payment')
    """,
    "every stock is what was put in less what was sold plus what came back": """
        UPDATE products SET stock = stock - 1 WHERE id = 2
    """,
    "never more coupons issued than there are, each of them counted": "UPDATE campaigns SET issued = issued - 1",
    "no coupon used twice, none by another user, each by the order that it names": """
        UPDATE coupons SET order_id = NULL WHERE id = (SELECT MIN(id) FROM coupons WHERE order_id IS NOT NULL)
    """,
    "every order's amount is the sum of its lines, its discount what its coupon gives": """
        UPDATE order_items SET unit_price = unit_price + 1 WHERE order_id = 9 AND position = 0
    """,
    "one event for every paid order and one more for every cancelled one": "DELETE FROM outbox WHERE id = 40",
    "every row belongs to something that exists": "UPDATE outbox SET event_batch_id = 9999 WHERE id = 40",
}


@pytest.mark.parametrize("invariant", DAMAGE)
def test_damage_is_found(demo_database: str, invariant: str) -> None:
    damage(demo_database, DAMAGE[invariant])
    assert broken(demo_database) == [invariant]


def test_every_invariant_has_its_damage() -> None:
    assert set(DAMAGE) == {check.invariant for check in CHECKS}


# Further kinds of damage to invariants that have more than one side.
ORPHANS = "every row belongs to something that exists"
MORE_DAMAGE = [
    (ORPHANS, "INSERT INTO order_items VALUES (9999, 0, 1, 1, 1)"),
    (ORPHANS, "INSERT INTO stock_movements (product_id, quantity, created_at) VALUES (9999, 1, 1)"),
    (
        "every order has its payment in the ledger, every cancelled one its refund",
        "UPDATE ledger_entries SET kind = 'refund' WHERE id = 3",
    ),
    (
        "one event for every paid order and one more for every cancelled one",
        "UPDATE outbox SET event = REPLACE(event, '\"total\":', '\"total\":1') WHERE id = 40",
    ),
    (
        "one event for every paid order and one more for every cancelled one",
        "UPDATE outbox SET order_id = 9999 WHERE id = 40",
    ),
    (
        "every ledger is a chain without a gap, every balanceAfter the sum up to its entry",
        "UPDATE ledger_entries SET previous = 1 WHERE id = (SELECT last_entry FROM users WHERE id = 3)",
    ),
    (
        "every ledger is a chain without a gap, every balanceAfter the sum up to its entry",
        "UPDATE users SET last_entry = 3 WHERE id = 3",
    ),
    (
        "every order has its payment in the ledger, every cancelled one its refund",
        "UPDATE orders SET payment_entry = payment_entry + 1 WHERE id = 9",
    ),
    (
        "no coupon used twice, none by another user, each by the order that it names",
        "UPDATE coupons SET user_id = 19 WHERE id = (SELECT MIN(id) FROM coupons WHERE order_id IS NOT NULL)",
    ),
    (
        "every order's amount is the sum of its lines, its discount what its coupon gives",
        "UPDATE campaigns SET discount = discount - 1",
    ),
    (
        "one event for every paid order and one more for every cancelled one",
        "UPDATE outbox SET type = 'jangteo.order.paid' WHERE type = 'jangteo.order.cancelled'",
    ),
]

EVENTS = "one event for every paid order and one more for every cancelled one"
MORE_DAMAGE += [
    # What is gone must have been counted, and what was counted be gone; and only what is that old.
    (EVENTS, "DELETE FROM outbox WHERE type = 'jangteo.order.cancelled' AND id < 100"),
    (EVENTS, "UPDATE purged_events SET events = 1, until = (SELECT MAX(created_at) FROM event_batches)"),
    (
        EVENTS,
        "UPDATE purged_events SET events = 1; DELETE FROM outbox WHERE id = 40",
    ),
    (
        EVENTS,
        """
        UPDATE outbox SET (order_id, type, event) = (
            SELECT order_id, type, event FROM outbox AS other WHERE other.id = 40
        ) WHERE id = 41
        """,
    ),
    (ORPHANS, "INSERT INTO failed_events VALUES (9999, 9, 1, 'no', 1, NULL)"),
    (ORPHANS, "INSERT INTO failed_events SELECT id, order_id + 1, 1, 'no', 1, NULL FROM outbox WHERE id = 40"),
    (ORPHANS, "UPDATE event_batches SET last_event = first_event - 1 WHERE id = 40"),
]


@pytest.mark.parametrize(("invariant", "sql"), MORE_DAMAGE)
def test_more_damage_is_found(demo_database: str, invariant: str, sql: str) -> None:
    damage(demo_database, sql)
    assert broken(demo_database) == [invariant]


def test_statistics_that_differ_from_the_orders_are_found(sqlite_demo: str) -> None:
    # The index that finds the orders of a window misses half of them.
    def forget_in_index(raw: sqlite3.Connection) -> None:
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
        forget_in_index(raw)
        raw.commit()
    assert broken(sqlite_demo) == [STATISTICS]


def damage(database: str, sql: str) -> None:
    if database.startswith("sqlite"):
        with closing(sqlite3.connect(database.removeprefix("sqlite:///"))) as raw:
            raw.executescript(sql)
    else:
        with psycopg.connect(database) as connection:
            connection.execute(sql.encode())
