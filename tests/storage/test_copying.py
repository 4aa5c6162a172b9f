"""A shop is copied whole, with every row the same, or not at all."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from jangteo import demo
from jangteo.core.entities import FailedEvent
from jangteo.core.keys import CreateKey
from jangteo.core.orders import PlaceOrder, RequestedItem
from jangteo.core.products import AddProduct
from jangteo.core.relay import (
    AcquireLease,
    MarkSent,
    PurgeEvents,
    RecordFailures,
    ReleaseLease,
    StartReplay,
)
from jangteo.engine.batch import Submission, commit
from jangteo.storage import copying, migrations, outbox
from jangteo.storage.best_sellers.refresh import plan_refresh
from jangteo.storage.copying import OF_PROCESSES, SHOP, AuditFailed, Copied, copy_shop
from jangteo.storage.errors import Broken, CannotOpen
from jangteo.storage.port import Row
from jangteo.storage.schema import has_sequence, metadata
from jangteo.storage.statements import first_chunk, key_of, next_chunk
from jangteo.storage.urls import open_storage, same_database
from tests.postgres import Server

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
REPEATED = Submission(PlaceOrder(1, (RequestedItem(3, 1),), None), "a key")


@pytest.fixture(scope="session")
def filled_file(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo shop with an idempotency record, some events sent, and some sales not yet in the best sellers."""
    path = tmp_path_factory.mktemp("filled") / "filled.db"
    shutil.copy(empty_database, path)
    storage = open_storage(f"sqlite:///{path}")
    assert demo.fill(storage, lambda: NOW)
    with closing(storage.connect()) as connection:
        # Sales after this are deltas.
        with connection.snapshot(NOW) as snapshot:
            planned = plan_refresh(snapshot, frozenset({7}))
        assert planned is not None
        commit(connection, [Submission(planned.command)], lambda: NOW)
        commit(connection, [Submission(CreateKey("storefront", ("read",), None, "00" * 32))], lambda: NOW)
        commit(connection, [REPEATED, Submission(MarkSent(tuple(range(1, 100))))], lambda: NOW)
        relay_commands = [
            RecordFailures((FailedEvent(50, 48, 5, "HTTP 422: no such product", None),)),
            StartReplay(NOW - timedelta(days=1), NOW),
            PurgeEvents(tuple(range(1, 8)), retention_s=-1),
        ]
        commit(connection, [Submission(command) for command in relay_commands], lambda: NOW)
    return path


@pytest.fixture
def filled(filled_file: Path, tmp_path: Path) -> str:
    return f"sqlite:///{shutil.copy(filled_file, tmp_path / 'filled.db')}"


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    # The last chunk of a table is a part, a whole, or empty.
    monkeypatch.setattr(copying, "CHUNK_ROWS", 4)


def copy(source: str, target: str, until: Callable[[Copied], bool] = lambda _: False) -> list[Copied]:
    """Copies a shop, or is interrupted by `until`; returns the steps of its tables."""
    copied_steps: list[Copied] = []
    with (
        closing(open_storage(source)) as origin,
        closing(open_storage(target)) as empty,
        closing(copy_shop(origin, empty, lambda: NOW)) as steps,
    ):
        for step in steps:
            if isinstance(step, Copied):
                copied_steps.append(step)
                if until(step):
                    raise KeyboardInterrupt
    return copied_steps


def rows_of(database: str) -> dict[str, list[Row]]:
    with closing(open_storage(database).connect()) as connection, connection.snapshot(NOW) as snapshot:
        return {
            table.name: sorted(snapshot.rows(f"SELECT {', '.join(table.c.keys())} FROM {table.name}"), key=repr)
            for table in metadata.sorted_tables
        }


def shop_in(database: str) -> dict[str, list[Row]]:
    rows = rows_of(database)
    return {table.name: rows[table.name] for table in SHOP}


def is_empty(database: str) -> bool:
    """Holds only what every new shop has: a name, a count of purged events, and a window without sales."""
    shop = shop_in(database)
    in_every_shop = [shop.pop(name) for name in ("purged_events", "best_seller_windows", "best_seller_version")]
    return (
        in_every_shop == [[(1, 0, 0)], [(1, 3, 0, "active", 0, 0, None)], [(1, 0)]]
        and len(shop.pop("shops")) == 1
        and not any(shop.values())
    )


def commit_to(database: str, *submissions: Submission) -> list[Any]:
    with closing(open_storage(database).connect()) as connection:
        return commit(connection, submissions, lambda: NOW).outcomes


def damage(database: str, sql: str) -> None:
    with closing(sqlite3.connect(database.removeprefix("sqlite:///"))) as raw:
        raw.execute(sql)
        raw.commit()


def test_every_table_is_either_copied_or_of_processes() -> None:
    assert sorted(table.name for table in SHOP + OF_PROCESSES) == sorted(metadata.tables)


def test_a_shop_copied_there_and_back_is_the_same(filled: str, postgres_database: str, tmp_path: Path) -> None:
    back = f"sqlite:///{tmp_path / 'back.db'}"
    steps = copy(filled, postgres_database)
    copy(postgres_database, back)
    shop = shop_in(filled)
    assert shop_in(postgres_database) == shop
    assert shop_in(back) == shop
    assert all(shop.values()), "an empty table proves nothing"
    assert {each.table: each.table_rows for each in steps if each.whole_table} == {
        name: len(rows) for name, rows in shop.items()
    }
    assert steps[-1].rows == steps[-1].all_rows == sum(map(len, shop.values()))


def test_windows_of_an_empty_target_are_replaced(filled: str, database: str) -> None:
    with closing(open_storage(database)) as empty:
        empty.prepare()
    with closing(open_storage(database).connect()) as connection, connection.transaction() as session:
        # As after a request for a week, and a rebuild.
        session.run("UPDATE best_seller_windows SET id = 3")
        session.run(
            "INSERT INTO best_seller_windows (id, days, since, state, started_at, requested_at) "
            "VALUES (2, 7, 5, 'active', 5, 5)"
        )
    copy(filled, database)
    assert shop_in(database) == shop_in(filled)


def test_a_copied_shop_goes_on(filled: str, database: str) -> None:
    copy(filled, database)
    with closing(open_storage(database).connect()) as connection, connection.snapshot(NOW) as snapshot:
        waiting = outbox.read_waiting(snapshot, frozenset(), 1_000)
        assert waiting is not None
        assert waiting.event_batches[0] == 100, "sent events are not sent again"
        assert len(waiting.event_batches) == len(snapshot.rows("SELECT 1 FROM event_batches WHERE sent_at IS NULL"))
    before = shop_in(database)
    [again] = commit_to(database, REPEATED)
    assert again.replayed
    assert shop_in(database) == before
    [placed, added] = commit_to(
        database,
        Submission(PlaceOrder(2, (RequestedItem(1, 2), RequestedItem(2, 1)), None)),
        Submission(AddProduct("Jeju carrots, 2 kg", 9_000, 40)),
    )
    assert (placed.value().status, added.value().stock) == ("paid", 40)
    after = shop_in(database)
    for name in ("orders", "order_items", "ledger_entries", "products", "stock_movements", "outbox", "event_batches"):
        new = {row[0] for row in after[name]} - {row[0] for row in before[name]}
        assert new, name
        assert min(new) > max(row[0] for row in before[name]), name


def test_new_ids_of_every_table_continue_after_the_largest(filled: str, postgres_database: str) -> None:
    copy(filled, postgres_database)
    with closing(open_storage(postgres_database).connect()) as connection, connection.transaction() as session:
        for table in SHOP:
            if not has_sequence(table):
                continue
            own = table.c.id.identity is not None
            sequence = f"pg_get_serial_sequence('{table.name}', 'id')::regclass" if own else f"'{table.name}_ids'"
            new, largest = session.rows(f"SELECT nextval({sequence}), MAX(id) FROM {table.name}")[0]
            assert new == largest + 1, table.name


def test_ids_of_an_empty_table_begin_at_one(sqlite_database: str, postgres_database: str) -> None:
    assert copy(sqlite_database, postgres_database)[-1].all_rows == 4
    with closing(open_storage(postgres_database).connect()) as connection, connection.transaction() as session:
        assert session.rows("SELECT nextval('users_ids')") == [(1,)]


def test_an_interrupted_copy_leaves_nothing(filled: str, database: str) -> None:
    with pytest.raises(KeyboardInterrupt):
        copy(filled, database, until=lambda step: step.table == SHOP[-1].name)
    assert is_empty(database)
    # Nothing of it prevents another copy.
    copy(filled, database)
    assert shop_in(database) == shop_in(filled)


def test_a_source_that_is_written_to_during_the_copy_is_refused(
    filled: str, postgres_database: str, sqlite_database: str
) -> None:
    copy(filled, postgres_database)

    def sells(step: Copied) -> bool:
        if step.whole_table and step.table == SHOP[-1].name:
            commit_to(postgres_database, Submission(PlaceOrder(1, (RequestedItem(3, 1),), None)))
        return False

    with pytest.raises(CannotOpen, match="was written to meanwhile"):
        copy(postgres_database, sqlite_database, until=sells)
    assert is_empty(sqlite_database)


def test_a_copy_that_fails_in_its_last_table_leaves_nothing(filled: str, postgres_database: str) -> None:
    assert SHOP[-1].name == "best_seller_version"
    damage(filled, "UPDATE best_seller_version SET version = 'many'")
    with pytest.raises(Broken, match="many"):
        copy(filled, postgres_database)
    assert is_empty(postgres_database)


def test_a_filled_target_is_refused_and_not_changed(filled: str, database: str) -> None:
    commit_to(database, REPEATED)
    before = rows_of(database)
    assert before["idempotency_records"]
    with pytest.raises(
        CannotOpen, match=r"the target holds a shop already \(idempotency_records\); name an empty database"
    ):
        copy(filled, database)
    assert rows_of(database) == before


def test_a_source_that_fails_its_audit_is_not_copied(filled: str, postgres: Server, tmp_path: Path) -> None:
    damage(filled, "UPDATE users SET balance = balance + 1 WHERE id = 3")
    with pytest.raises(AuditFailed, match=r"audit of the source failed \(every .*user 3: balance .*nothing was copied"):
        copy(filled, f"sqlite:///{tmp_path / 'new.db'}")
    assert not (tmp_path / "new.db").exists()
    postgres.run("DROP DATABASE IF EXISTS untouched WITH (FORCE)")
    untouched = postgres.create("untouched")
    with pytest.raises(AuditFailed):
        copy(filled, untouched)
    with pytest.raises(CannotOpen, match="holds no shop yet"):
        open_storage(untouched).check()


def test_a_copy_that_fails_its_audit_is_reported(
    filled: str, sqlite_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "SHOP", SHOP[1:])
    with pytest.raises(AuditFailed, match=r"the audit of the target failed .*don't use the target"):
        copy(filled, sqlite_database)


def test_a_missing_chunk_is_reported(filled: str, sqlite_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # No invariant covers the number of idempotency records.
    chunks = copying._chunks
    monkeypatch.setattr(
        copying,
        "_chunks",
        lambda snapshot, table: () if table.name == "idempotency_records" else chunks(snapshot, table),
    )
    with pytest.raises(AuditFailed, match="idempotency_records has 0 rows in the target, 1 in the source"):
        copy(filled, sqlite_database)


def test_a_served_shop_on_postgresql_is_neither_source_nor_target(
    filled: str, postgres_database: str, tmp_path: Path
) -> None:
    commit_to(postgres_database, Submission(AcquireLease("a server", 6)))
    with pytest.raises(CannotOpen, match="the target is being served; stop all of its servers first"):
        copy(filled, postgres_database)
    with pytest.raises(CannotOpen, match="the source is being served"):
        copy(postgres_database, f"sqlite:///{tmp_path / 'new.db'}")
    commit_to(postgres_database, Submission(ReleaseLease("a server")))
    copy(filled, postgres_database)


def test_a_shop_of_an_older_version_is_refused_and_not_changed(
    filled: str, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = rows_of(filled)
    monkeypatch.setattr(migrations, "newest", lambda: "jangteo_of_tomorrow")
    for source, target in ((filled, f"{filled}.new"), (database, f"{filled}.new"), (filled, database)):
        with pytest.raises(CannotOpen, match="an older version: jangteo migrate"):
            copy(source, target)
    assert rows_of(filled) == before


def test_sqlite_reads_chunks_by_the_primary_key(sqlite_database: str) -> None:
    with closing(sqlite3.connect(sqlite_database.removeprefix("sqlite:///"))) as raw:
        for table in SHOP:
            values = dict.fromkeys((*key_of(table), "count"), 1)
            for sql, access in ((first_chunk(table), "SCAN"), (next_chunk(table), "SEARCH")):
                [step] = [row[3] for row in raw.execute(f"EXPLAIN QUERY PLAN {sql}", values)]
                assert step.startswith(f"{access} {table.name}"), step


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("sqlite:///{}/a.db", "sqlite:///{}/a.db", True),
        ("sqlite:///{}/a.db", "sqlite:///{}/link.db", True),
        ("sqlite:///{}/a.db", "sqlite:///{}/b.db", False),
        ("sqlite:///{}/a.db", "postgresql://db/a", False),
        ("postgresql://db/a", "postgresql://db/a", True),
        ("postgresql://db/a", "postgresql://db/b", False),
    ],
)
def test_two_urls_of_one_database_are_recognised(tmp_path: Path, one: str, other: str, *, same: bool) -> None:
    (tmp_path / "link.db").symlink_to(tmp_path / "a.db")
    assert same_database(one.format(tmp_path), other.format(tmp_path)) == same


def test_a_copy_passes_its_audit_days_later_too(filled: str, postgres_database: str) -> None:
    copy(filled, postgres_database)
    later = NOW + timedelta(days=4)
    with closing(open_storage(postgres_database).connect()) as connection, connection.snapshot(later) as snapshot:
        copying._audit(snapshot, "target")
