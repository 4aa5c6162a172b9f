"""A shop of the first version comes to this one with all it holds, and goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import Engine, create_engine, inspect, text

from jangteo.core.orders import CancelOrder
from jangteo.storage import migrations, outbox
from jangteo.storage.best_sellers.query import count_best_sellers
from jangteo.storage.event_queries import read_events_of
from jangteo.storage.port import Row
from jangteo.storage.timestamps import to_micros
from jangteo.storage.urls import open_storage
from tests.postgres import Server
from tests.storage.best_sellers.shop import BestSellersShop
from tests.storage.shops import DAY, OPENED, Shop, order

FIRST = "jangteo_1"
# Bundle 1 is of two orders, 2 of a third and of the cancelling of the first, 3 of the cancelling of the second alone,
# 4 of an order that was cancelled at once. The first two were sent.
MOMENTS = {1: OPENED, 2: OPENED + DAY, 3: OPENED + 2 * DAY, 4: OPENED + 3 * DAY}
SENT = (1, 2)


def fill(shop: Shop) -> None:
    shop.set_up()
    shop.order(2, at=MOMENTS[1])
    shop.do(order(2), CancelOrder(1), at=MOMENTS[2])
    shop.cancel(2, at=MOMENTS[3])
    shop.do(order(3), CancelOrder(4), at=MOMENTS[4])
    shop.send(*SENT, at=MOMENTS[4])


def engine_of(database: str) -> Engine:
    return create_engine(database.replace("postgresql://", "postgresql+psycopg://"))


def to_first(engine: Engine) -> None:
    """An empty database becomes one of the first version."""
    config = migrations._config()
    config.attributes["engine"] = engine
    command.upgrade(config, FIRST)


def copied(new: str, old: str) -> None:
    """All that the first version would have had of a shop of this one, into an empty database of the first version."""
    source, target = engine_of(new), engine_of(old)
    with source.connect() as reads, target.begin() as writing:
        for table in inspect(target).get_table_names():
            if table in {"alembic_version", "writers", "leases", "readiness"}:
                continue
            columns = ", ".join(column["name"] for column in inspect(target).get_columns(table))
            for row in reads.execute(text(f"SELECT {columns} FROM {table}")).mappings():
                names = ", ".join(f":{name}" for name in row)
                writing.execute(text(f"INSERT INTO {table} ({columns}) VALUES ({names})"), dict(row))
        if target.dialect.name == "postgresql":
            for table in ("users", "products", "orders", "ledger_entries", "outbox", "event_batches"):
                writing.execute(text(f"SELECT setval('{table}_ids', (SELECT MAX(id) FROM {table}))"))
    source.dispose()
    target.dispose()


@pytest.fixture(params=["sqlite", "postgres"])
def old(request: pytest.FixtureRequest, sqlite_database: str, tmp_path: Path) -> Iterator[str]:
    """The URL of a shop of the first version, filled."""
    with closing(Shop(sqlite_database)) as shop:
        fill(shop)
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'old.db'}"
    else:
        server: Server = request.getfixturevalue("postgres")
        server.run("DROP DATABASE IF EXISTS old WITH (FORCE)")
        url = server.create("old")
    engine = engine_of(url)
    to_first(engine)
    copied(sqlite_database, url)
    yield url
    engine.dispose()


KEPT = {
    "users": "SELECT * FROM users ORDER BY id",
    "orders": "SELECT * FROM orders ORDER BY id",
    "lines": "SELECT * FROM order_items ORDER BY order_id, position",
    "ledger": "SELECT * FROM ledger_entries ORDER BY id",
    "events": "SELECT * FROM outbox ORDER BY id",
    "event_batches": "SELECT id, first_event, last_event, sent_at FROM event_batches ORDER BY id",
}


def rows_of(database: str) -> dict[str, list[Row]]:
    engine = engine_of(database)
    with engine.connect() as connection:
        rows = {name: [tuple(row) for row in connection.execute(text(sql))] for name, sql in KEPT.items()}
    engine.dispose()
    return rows


def migrated(database: str) -> Shop:
    with closing(open_storage(database)) as storage:
        storage.prepare()
    return Shop(database)


def test_everything_is_kept_and_bundles_have_the_moment_of_their_orders(old: str) -> None:
    before = rows_of(old)
    assert all(before.values()), "an empty table proves nothing"
    with closing(migrated(old)) as shop:
        assert rows_of(old) == before
        assert dict(shop.rows("SELECT id, created_at FROM event_batches")) == {
            event_batch: to_micros(moment) for event_batch, moment in MOMENTS.items()
        }
        assert shop.wrong() == []
        waiting = shop.look(outbox.read_waiting, frozenset(), 10)
        assert waiting is not None
        assert waiting.event_batches == (3, 4)
        assert waiting.lines.splitlines() == [event for *_, event in before["events"][4:]], "with the ids that they had"
        assert [event.place for event in shop.look(read_events_of, 1)] == [4, 1]


def test_orders_are_placed_afterwards(old: str) -> None:
    with closing(migrated(old)) as shop:
        assert shop.order(at=OPENED + 9 * DAY) == [5]
        shop.cancel(3, at=OPENED + 9 * DAY)
        assert shop.ids("event_batches") == [1, 2, 3, 4, 5, 6]
        ((name,),) = shop.rows("SELECT name FROM shops")
        ((event,),) = shop.rows("SELECT event FROM outbox WHERE order_id = 5")
        assert f'"id":"{name}-order-5-paid"' in event
        assert shop.wrong() == []
        assert [event.place for event in shop.look(read_events_of, 3)] == [9, 3]


def test_best_sellers_are_counted_from_the_orders_until_their_window_is_active(old: str) -> None:
    now = MOMENTS[4]
    migrated(old).close()
    with closing(BestSellersShop(old)) as shop:
        assert shop.states() == []
        assert not shop.view_answers(now, 3)
        direct = shop.look(count_best_sellers, 3, at=now).value
        assert [(each.id, each.sold) for each in direct] == [(2, 1)]
        window = shop.start_window(now, 3)
        shop.order(at=now)
        shop.cancel(3, at=now)
        assert shop.wrong(now) == []
        shop.finish(window, shop.missing(window, now), now)
        assert shop.view_answers(now, 3)
        assert shop.best(now) == [(1, 1)]
        assert shop.wrong(now) == []


def test_a_shop_without_orders_has_its_window_at_once(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'new.db'}"
    to_first(engine_of(database))
    migrated(database).close()
    with closing(BestSellersShop(database)) as shop:
        assert shop.states() == [(1, 3, "active")]
        assert shop.view_answers(OPENED, 3)
        assert shop.best(OPENED) == []


def test_it_is_migrated_once(old: str) -> None:
    with closing(migrated(old)) as shop:
        name = shop.rows("SELECT id, name FROM shops")
        assert len(name) == 1
    with closing(migrated(old)) as shop:
        assert shop.rows("SELECT id, name FROM shops") == name


def test_no_two_shops_have_one_name(tmp_path: Path) -> None:
    names = set()
    for number in range(3):
        database = f"sqlite:///{tmp_path / f'{number}.db'}"
        engine = engine_of(database)
        to_first(engine)
        with closing(migrated(database)) as shop:
            names |= set(shop.rows("SELECT name FROM shops"))
    assert len(names) == 3


def test_what_waits_still_has_an_index_of_its_own(old: str) -> None:
    migrated(old).close()
    engine = engine_of(old)
    [index] = inspect(engine).get_indexes("event_batches")
    engine.dispose()
    assert index["name"] == "event_batches_waiting"
    assert "sent_at IS NULL" in str(index["dialect_options"][f"{engine.dialect.name}_where"])
