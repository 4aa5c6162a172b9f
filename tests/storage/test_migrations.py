"""Shops of older revisions come to this version with all they hold, and go on."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import inspect

from jangteo.core.entities import Order
from jangteo.core.orders import CancelOrder, PlaceOrder, RequestedItem
from jangteo.core.products import MoveStock
from jangteo.storage import outbox
from jangteo.storage.best_sellers.query import count_best_sellers
from jangteo.storage.errors import CannotOpen
from jangteo.storage.event_queries import read_events_of
from jangteo.storage.orders import read_order
from jangteo.storage.port import Row
from jangteo.storage.timestamps import to_micros
from jangteo.storage.urls import open_storage
from tests.postgres import Server
from tests.storage import revision_3
from tests.storage.best_sellers.shop import BestSellersShop
from tests.storage.old_shops import (
    FIRST,
    THIRD,
    copy_into_first,
    create,
    engine_of,
    fill_third,
    migrate,
    run,
    tables_of,
)
from tests.storage.shops import DAY, OPENED, Shop, order

# Event batch 1 is of two orders, 2 of a third and of cancelling the first, 3 of cancelling the second alone, 4 of an
# order that was cancelled at once. The first two were sent.
TIMES = {1: OPENED, 2: OPENED + DAY, 3: OPENED + 2 * DAY, 4: OPENED + 3 * DAY}
SENT = (1, 2)


def fill(shop: Shop) -> None:
    shop.set_up()
    shop.order(2, at=TIMES[1])
    shop.do(order(2), CancelOrder(1), at=TIMES[2])
    shop.cancel(2, at=TIMES[3])
    shop.do(order(3), CancelOrder(4), at=TIMES[4])
    shop.send(*SENT, at=TIMES[4])


@pytest.fixture(params=["sqlite", "postgres"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database without tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'old.db'}"
    server: Server = request.getfixturevalue("postgres")
    server.run("DROP DATABASE IF EXISTS old WITH (FORCE)")
    return server.create("old")


@pytest.fixture
def old(empty: str, sqlite_database: str) -> str:
    """The URL of a shop of the first version, filled."""
    with closing(Shop(sqlite_database)) as shop:
        fill(shop)
    create(empty, FIRST)
    copy_into_first(sqlite_database, empty)
    return empty


@pytest.fixture
def third(empty: str) -> str:
    """The URL of a shop of revision jangteo_3, with rows in every table."""
    create(empty, THIRD)
    fill_third(empty)
    return empty


UNCHANGED = ("users", "products", "stock_movements", "orders", "ledger_entries")


def with_actors(table: str, before: dict[str, list[Row]]) -> list[Row]:
    """The rows of a table as they are with the actors of a time that knew none."""
    new = {"orders": ("open", None), "ledger_entries": ("open",), "stock_movements": ("open",)}.get(table, ())
    return [(*row, *new) for row in before[table]]


def test_a_shop_of_the_first_version_keeps_every_row(old: str) -> None:
    before = tables_of(old)
    with closing(migrate(old)) as shop:
        after = tables_of(old)
        assert all(before[table] for table in UNCHANGED), "an empty table proves nothing"
        assert {table: after[table] for table in UNCHANGED} == {
            table: with_actors(table, before) for table in UNCHANGED
        }
        assert after["order_items"] == before["order_lines"]
        assert after["outbox"] == before["outbox"]
        assert [row[:4] for row in before["bundles"]] == shop.rows(
            "SELECT id, first_event, last_event, sent_at FROM event_batches ORDER BY id"
        )
        assert dict(shop.rows("SELECT id, created_at FROM event_batches")) == {
            event_batch: to_micros(at) for event_batch, at in TIMES.items()
        }
        assert shop.wrong() == []
        waiting = shop.look(outbox.read_waiting, frozenset(), 10)
        assert waiting is not None
        assert waiting.event_batches == (3, 4)
        assert waiting.lines.splitlines() == [row[4] for row in sorted(before["outbox"])[4:]], "with the ids they had"
        assert [event.outbox_id for event in shop.look(read_events_of, 1)] == [4, 1]


def test_a_shop_of_revision_3_keeps_every_row(third: str) -> None:
    before = tables_of(third)
    assert all(before.values()), "an empty table proves nothing"
    with closing(migrate(third)) as shop:
        after = tables_of(third)
        assert after.pop("best_seller_windows") == revision_3.WINDOWS
        del before["top_windows"]
        assert after.pop("api_keys") == after.pop("catalog_changes") == []
        (shop_row,) = after["shops"]
        assert len(bytes.fromhex(shop_row[2])) == 32, "drawn for the shop's own customer tokens"
        after["shops"] = [shop_row[:2]]
        assert after == {revision_3.NEW_NAMES.get(table, table): with_actors(table, before) for table in before}
        assert shop.wrong(revision_3.NOW) == []


def test_a_shop_of_revision_3_goes_on(third: str) -> None:
    with closing(migrate(third)) as shop:
        (placed,) = shop.do(PlaceOrder(1, (RequestedItem(200, 3),), None), at=revision_3.NOW)
        shop.cancel(3, at=revision_3.NOW)
        shop.do(MoveStock(200, 5), at=revision_3.NOW)
        assert placed.order_id == 4
        assert shop.ids("event_batches") == [2, 3, 4, 5, 6]
        assert shop.ids("ledger_entries") == [*range(1, 9)]
        assert shop.ids("stock_movements") == [1, 2, 3, 4]
        assert shop.ids("sales_deltas") == [7, 8, 9, 10]
        assert shop.wrong(revision_3.NOW) == []


DAMAGE = {
    "coupon 1 is used by more than one paid order": "UPDATE orders SET coupon_id = 1 WHERE id = 3",
    "ledger entry 3 is the payment of more than one order": "UPDATE orders SET payment_entry = 3 WHERE id = 2",
    "the ledger of user 1 has more than one first entry": "UPDATE ledger_entries SET previous = NULL WHERE id = 3",
    "ledger entry 5 is of an unknown kind": "UPDATE ledger_entries SET kind = 'gift' WHERE id = 5",
}


@pytest.mark.parametrize("meaning", DAMAGE)
def test_a_damaged_shop_is_refused_with_one_line_and_not_changed(third: str, meaning: str) -> None:
    run(third, DAMAGE[meaning])
    before = tables_of(third)
    with closing(open_storage(third)) as storage, pytest.raises(CannotOpen) as refused:
        storage.prepare()
    assert f"the shop is damaged: {meaning};" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert tables_of(third) == before


def test_a_shop_of_the_first_version_goes_on(old: str) -> None:
    with closing(migrate(old)) as shop:
        assert shop.order(at=OPENED + 9 * DAY) == [5]
        shop.cancel(3, at=OPENED + 9 * DAY)
        assert shop.ids("event_batches") == [1, 2, 3, 4, 5, 6]
        ((name,),) = shop.rows("SELECT name FROM shops")
        ((event,),) = shop.rows("SELECT event FROM outbox WHERE order_id = 5")
        assert f'"id":"{name}-order-5-paid"' in event
        assert shop.wrong() == []
        assert [event.outbox_id for event in shop.look(read_events_of, 3)] == [9, 3]


def test_best_sellers_come_from_the_orders_until_their_window_is_backfilled(old: str) -> None:
    now = TIMES[4]
    migrate(old).close()
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


def test_a_shop_without_orders_has_an_active_window(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'new.db'}"
    create(database, FIRST)
    migrate(database).close()
    with closing(BestSellersShop(database)) as shop:
        assert shop.states() == [(1, 3, "active")]
        assert shop.view_answers(OPENED, 3)
        assert shop.best(OPENED) == []


def test_what_was_done_before_there_were_actors_was_done_by_anyone(old: str) -> None:
    with closing(migrate(old)) as shop:
        placed, cancelled = (shop.look(read_order, number) for number in (3, 1))
        assert isinstance(placed, Order)
        assert (placed.actor, placed.cancelled_by) == ("open", None)
        assert isinstance(cancelled, Order)
        assert (cancelled.actor, cancelled.cancelled_by) == ("open", "open")


def test_a_shop_is_migrated_beside_a_long_query_that_then_ends(third: str) -> None:
    if not third.startswith("postgresql"):
        pytest.skip("SQLite's readers don't block a migration")
    with psycopg.connect(third) as raw, ThreadPoolExecutor(1) as pool:
        raw.execute("SELECT COUNT(*) FROM orders")
        migrating = pool.submit(lambda: migrate(third).close())
        waiting = "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'ALTER TABLE%'"
        with psycopg.connect(third, autocommit=True) as watching:
            seen, free = 0, 0
            while seen < 2:
                # It waits for the query, gives way to all others, and waits again.
                found = watching.execute(waiting).fetchone() == (1,)
                seen, free = seen + (found and free >= seen), free + (not found and seen > free)
        raw.rollback()
        migrating.result(60)
    with closing(Shop(third)) as shop:
        assert shop.wrong(revision_3.NOW) == []


def test_migrating_again_changes_nothing(old: str) -> None:
    with closing(migrate(old)) as shop:
        name = shop.rows("SELECT id, name FROM shops")
        assert len(name) == 1
    with closing(migrate(old)) as shop:
        assert shop.rows("SELECT id, name FROM shops") == name


def test_no_two_shops_have_one_name(tmp_path: Path) -> None:
    names = set()
    for number in range(3):
        database = f"sqlite:///{tmp_path / f'{number}.db'}"
        create(database, FIRST)
        with closing(migrate(database)) as shop:
            names |= set(shop.rows("SELECT name FROM shops"))
    assert len(names) == 3


def test_waiting_event_batches_keep_their_partial_index(old: str) -> None:
    migrate(old).close()
    engine = engine_of(old)
    [index] = inspect(engine).get_indexes("event_batches")
    engine.dispose()
    assert index["name"] == "event_batches_waiting"
    assert "sent_at IS NULL" in str(index["dialect_options"][f"{engine.dialect.name}_where"])
