"""Plans on PostgreSQL: batches find rows by key, and statements planned for a small table are planned anew later."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from msgspec.structs import replace

from jangteo.core import relay
from jangteo.core.best_sellers import RefreshBestSellers
from jangteo.core.book import Command
from jangteo.core.coupons import ClaimCoupon, StartCampaign
from jangteo.core.entities import Bucket, CouponTerms, FailedEvent, Refresh, Window
from jangteo.core.health import CheckWritable
from jangteo.core.orders import CancelOrder, PlaceOrder, RequestedItem
from jangteo.core.products import AddProduct, ChangeProduct, MoveStock
from jangteo.core.relay import AcquireLease, MarkSent
from jangteo.core.wallets import ChargeBalance, RegisterUser
from jangteo.engine.batch import Submission, commit
from jangteo.engine.outcomes import SerializedOutcome
from jangteo.storage.port import Row, Session
from jangteo.storage.postgres import pipeline
from jangteo.storage.postgres.encoding import Parameter
from jangteo.storage.postgres.pipeline import PendingRows, Pipeline
from jangteo.storage.postgres.session_settings import PLAN_BY_KEYS
from jangteo.storage.timestamps import to_micros
from jangteo.storage.urls import open_storage
from tests.storage.best_sellers.shop import best_sellers_shop
from tests.storage.shops import DAY

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
TERMS = CouponTerms(discount=300, percent=None, max_discount=None, min_amount=0)
WINDOW = Window(2, 7, NOW, "backfilling", NOW, NOW, NOW)
BUCKET = Bucket(2, 5, 9, "[0,9]")
BATCHES: tuple[tuple[Command, ...], ...] = (
    (RegisterUser("Kim Minji"), RegisterUser(None)),
    (AddProduct("rice", 1_000, 100), AddProduct("tea", 2_000, 100)),
    (StartCampaign("Opening", TERMS, 10, None, None, None),),
    (ChargeBalance(1, 10_000), ChargeBalance(2, 20_000)),
    (ClaimCoupon(1, 1), ClaimCoupon(2, 1)),
    (PlaceOrder(1, (RequestedItem(1, 1), RequestedItem(2, 1)), 1), PlaceOrder(2, (RequestedItem(2, 2),), 2)),
    (CancelOrder(1), CancelOrder(2)),
    (ChangeProduct(1, "brown rice", None), MoveStock(2, 5)),
    (
        MarkSent((1,)),
        AcquireLease("a relay", 6.0),
        CheckWritable(),
        relay.RecordFailures((FailedEvent(5, 3, 2, "too large", None),)),
        relay.RecordDelivered((5, 6)),
        relay.RecordPlatformStatus("none", None, stopped=False, sent_events=12, within_s=2.5),
        relay.PurgeEvents((1, 2), -60.0),
        RefreshBestSellers(
            0, Refresh((1, 2), (WINDOW,), (replace(WINDOW, window_id=1),), (3,), (BUCKET,), (BUCKET,), ((2, 7),))
        ),
    ),
)
# A claim without a campaign scans for those that have coupons left: there are few.
SCANNED = {"campaigns"}
SMALL = {"compatibility", "best_seller_windows", "best_seller_version"}
MANY_ORDERS = (
    """
    INSERT INTO products (id, name, price, stock, created_at)
    SELECT number, 'tea', 1, 1, 1 FROM generate_series(10, 20000) AS number ON CONFLICT DO NOTHING
    """,
    """
    INSERT INTO orders (id, user_id, status, amount, discount, total, payment_entry, created_at)
    SELECT number, 1, 'paid', 2, 0, 2, number, %(now)s - number::bigint * 50000000
    FROM generate_series(1000, 50000) AS number
    """,
    """
    INSERT INTO order_items (order_id, position, product_id, quantity, unit_price)
    SELECT orders.id, number, number + 1, 1, 1 FROM orders, generate_series(0, 1) AS number
    """,
    """
    INSERT INTO best_seller_buckets (id, window_id, max_units, units)
    SELECT 70368744177664 + number, 1, number, '[' || number || ']' FROM generate_series(1, 5000) AS number
    """,
    """
    INSERT INTO sales_deltas (ordered_at, units)
    SELECT %(now)s, '[1,1]' FROM generate_series(1, 3000) AS number
    """,
)
BY_KEY = {"Index Cond", "Recheck Cond"}
PLANNED = {"SELECT", "WITH", "UPDATE", "DELETE"}
# Sent once, when a connection is opened.
NOT_OF_A_BATCH = "writers WHERE seen_at"


def scans(plan: Any) -> Iterator[Any]:
    if "Scan" in plan["Node Type"] and "Relation Name" in plan:
        yield plan
    for inner in plan.get("Plans", ()):
        yield from scans(inner)


def record_statements(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """A set to which every statement is added that is sent from here on."""
    statements: set[str] = set()
    send = Pipeline.send

    def record_and_send(pipeline: Pipeline, sql: str, values: Sequence[Parameter] = ()) -> PendingRows:
        statements.add(sql)
        return send(pipeline, sql, values)

    monkeypatch.setattr(Pipeline, "send", record_and_send)
    return statements


def statements_of(database: str, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """All statements of a writer that commits the batches, each with one command and with all of them."""
    statements = record_statements(monkeypatch)
    with closing(open_storage(database).connect()) as connection:
        for number, batch in enumerate(BATCHES):
            for commands in (batch[:1], batch):
                keyed = batch is not BATCHES[-1]
                submissions = [
                    Submission(command, f"{number}-{len(commands)}-{index}" if keyed else None)
                    for index, command in enumerate(commands)
                ]
                outcomes = commit(connection, submissions, lambda: NOW).outcomes
                assert all(isinstance(outcome, SerializedOutcome) for outcome in outcomes), outcomes
    return {sql for sql in statements if sql.split(maxsplit=1)[0] in PLANNED and NOT_OF_A_BATCH not in sql}


def test_batches_find_all_rows_by_key(postgres_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    statements = statements_of(postgres_database, monkeypatch)
    assert len(statements) > 30
    with psycopg.connect(postgres_database, autocommit=True) as raw:
        for setting in PLAN_BY_KEYS.items():
            raw.execute("SELECT set_config(%s, %s, FALSE)", setting)
        for sql in statements:
            plan = raw.execute(f"EXPLAIN (GENERIC_PLAN, FORMAT JSON) {sql}".encode()).fetchall()[0][0]
            scanned = {each["Relation Name"] for each in scans(plan[0]["Plan"]) if not BY_KEY & each.keys()}
            assert scanned <= SCANNED, sql


@pytest.mark.parametrize("analyzed", [True, False])
def test_best_sellers_are_read_and_refreshed_without_scanning_the_orders(
    postgres_database: str, monkeypatch: pytest.MonkeyPatch, *, analyzed: bool
) -> None:
    with best_sellers_shop(postgres_database) as shop, psycopg.connect(postgres_database, autocommit=True) as raw:
        shop.add_window(NOW, 7)
        for batch in MANY_ORDERS:
            raw.execute(batch, {"now": to_micros(NOW)})
        if analyzed:
            raw.execute("ANALYZE")
        statements = record_statements(monkeypatch)
        shop.look(shop.view.read, 100, 3, at=NOW)
        # Later, so that orders leave the window; and earlier, so that they come back.
        for at in (NOW, NOW + 5 * DAY, NOW - 5 * DAY):
            shop.refresh_if_worth_it(at)
            shop.look(shop.view.read, 100, 3, at=at)
        queries = {sql for sql in statements if "FROM" in sql and sql.startswith(("SELECT", "\n"))}
        for sql in queries:
            plan = raw.execute(f"EXPLAIN (GENERIC_PLAN, FORMAT JSON) {sql}".encode()).fetchall()[0][0]
            scanned = {each["Relation Name"] for each in scans(plan[0]["Plan"]) if each["Node Type"] == "Seq Scan"}
            # The buckets of a retired window are removed in any order.
            assert scanned <= (
                SMALL | {"best_seller_buckets"} if sql.startswith("SELECT id FROM best_seller_buckets") else SMALL
            ), sql
        assert len(queries) >= 10


def test_prepared_statements_are_dropped_after_their_ttl(
    postgres_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "PLAN_TTL_S", 0.0)

    def plans(session: Session) -> list[Row]:
        return [row for row in session.rows("SELECT statement FROM pg_prepared_statements") if "FROM coupons" in row[0]]

    with closing(open_storage(postgres_database).connect()) as connection:
        for batch in BATCHES:
            commit(connection, [Submission(command) for command in batch], lambda: NOW)
        with connection.transaction() as session:
            assert plans(session) == []
        commit(connection, [Submission(ClaimCoupon(3, 1))], lambda: NOW)
        monkeypatch.setattr(pipeline, "PLAN_TTL_S", 60.0)
        commit(connection, [Submission(ClaimCoupon(4, 1))], lambda: NOW)
        with connection.transaction() as session:
            assert plans(session) != []
