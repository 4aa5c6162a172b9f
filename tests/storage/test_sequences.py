"""Sequences that are behind their tables, as after a restore of the tables alone, are advanced at the start."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg
import pytest

from jangteo.storage.audit import findings
from jangteo.storage.port import Row, TableIds
from jangteo.storage.postgres import sequences
from jangteo.storage.postgres.sequences import advance_sequences, read_sequences
from jangteo.storage.urls import open_storage
from tests.cli.test_postgres import run
from tests.storage.damage import SEQUENCES
from tests.storage.shops import OPENED, Shop

RESTORED = """
    ALTER SEQUENCE orders_ids RESTART;
    ALTER SEQUENCE ledger_entries_ids RESTART;
    ALTER SEQUENCE stock_movements_id_seq RESTART
"""
LARGEST = {"ledger_entries": 8, "orders": 5, "stock_movements": 3}


@pytest.fixture
def restored(postgres_database: str) -> str:
    """A shop with five orders whose sequences begin again."""
    with closing(Shop(postgres_database)) as shop:
        shop.set_up()
        shop.order(5)
    with psycopg.connect(postgres_database) as raw:
        raw.execute(RESTORED)
    return postgres_database


def behind(database: str) -> list[TableIds]:
    with psycopg.connect(database) as raw:
        return [each for each in read_sequences(runner(raw)) if each.is_behind]


def runner(raw: psycopg.Connection[Row]) -> Callable[[str], list[Row]]:
    return lambda sql: raw.execute(sql.encode()).fetchall()


def test_sequences_behind_their_tables_are_listed(restored: str) -> None:
    assert sorted(behind(restored)) == [TableIds(table, 0, largest) for table, largest in LARGEST.items()]


def test_the_start_advances_them_and_says_so_in_one_line_each(restored: str) -> None:
    with closing(open_storage(restored)) as storage:
        lines = storage.prepare()
        assert sorted(lines) == [
            f"the sequence of {table} was behind its table, and was advanced from 0 to {largest}"
            for table, largest in LARGEST.items()
        ]
        assert behind(restored) == []
        assert list(storage.prepare()) == []
    with closing(Shop(restored)) as shop:
        assert shop.order() == [6]
        assert shop.wrong() == []


def test_migrate_prints_what_it_advanced(restored: str) -> None:
    migrated = run("migrate", "--database", restored)
    assert migrated.returncode == 0
    assert "the sequence of orders was behind its table, and was advanced from 0 to 5\n" in migrated.stdout


def test_the_audit_names_them(restored: str) -> None:
    with closing(Shop(restored)) as shop:
        broken = {
            each.invariant: each.broken for each in shop.look(lambda snapshot: list(findings(snapshot))) if each.broken
        }
    assert sorted(broken.pop(SEQUENCES)) == [
        f"sequence of {table}: last id 0, largest {largest}" for table, largest in LARGEST.items()
    ]
    assert broken == {}


@pytest.mark.parametrize(("first", "is_behind"), [(5, True), (6, False), (900, False)])
def test_a_sequence_may_be_set_to_the_id_that_it_gives_first(
    postgres_database: str, first: int, *, is_behind: bool
) -> None:
    with closing(Shop(postgres_database)) as shop:
        shop.set_up()
        shop.order(5)
    with psycopg.connect(postgres_database) as raw:
        raw.execute("SELECT setval('orders_ids', %s, FALSE)", [first])
    assert [each.table for each in behind(postgres_database)] == ["orders"] * is_behind


def test_servers_that_take_ids_meanwhile_never_get_one_twice(restored: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequences, "_CHUNK", 7)
    with psycopg.connect(restored, autocommit=True) as raw:
        raw.execute("UPDATE orders SET id = 20000 WHERE id = 5")

    def take_ids() -> list[int]:
        with psycopg.connect(restored, autocommit=True) as raw:
            return [raw.execute("SELECT nextval('orders_ids')").fetchall()[0][0] for _ in range(500)]

    def advance() -> None:
        with psycopg.connect(restored, autocommit=True) as raw:
            advance_sequences(raw)

    with ThreadPoolExecutor(4) as pool:
        taking = [pool.submit(take_ids) for _ in range(2)]
        for each in [pool.submit(advance) for _ in range(2)]:
            each.result()
        taken = [taken_id for each in taking for taken_id in each.result()]
    assert len(set(taken)) == len(taken)
    assert behind(restored) == []
    with psycopg.connect(restored) as raw:
        assert raw.execute("SELECT nextval('orders_ids')").fetchall()[0][0] > max(20_000, *taken)


def test_on_sqlite_ids_follow_the_largest(sqlite_database: str) -> None:
    with closing(Shop(sqlite_database)) as shop:
        shop.set_up()
        with open_storage(sqlite_database).connect().snapshot(OPENED) as snapshot:
            counted = snapshot.counted_ids()
    assert TableIds("users", 3, 3) in counted
    assert not any(each.is_behind for each in counted)
