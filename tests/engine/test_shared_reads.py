"""Shared reads: asked together, queries get the answers that they get alone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from threading import Event
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jangteo.core.coupons import ClaimCoupon, StartCampaign
from jangteo.core.entities import CouponTerms
from jangteo.core.orders import PlaceOrder, RequestedItem
from jangteo.core.products import AddProduct
from jangteo.core.refusals import UserNotFound
from jangteo.core.wallets import ChargeBalance, CurrentBalance, RegisterUser
from jangteo.engine.batch import Submission, commit
from jangteo.engine.commands import Commands
from jangteo.engine.reads import Reads
from jangteo.engine.writer.thread import WriterThread
from jangteo.storage import coupons, orders, products, wallets
from jangteo.storage.errors import Unavailable
from jangteo.storage.port import Connection, Query, Snapshot
from jangteo.storage.urls import open_storage

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
TERMS = CouponTerms(discount=10, percent=None, max_discount=None, min_amount=0)

IDS = st.integers(1, 5)
PAGES = st.tuples(IDS, st.integers(1, 3), st.none() | IDS)
QUERIES = st.one_of(
    *(
        st.tuples(st.just(read), st.tuples(IDS))
        for read in (wallets.read_balance, products.read_product, coupons.read_campaign, orders.read_order)
    ),
    *(
        st.tuples(st.just(read), PAGES)
        for read in (wallets.read_ledger, coupons.read_coupons_of, orders.read_orders_of)
    ),
    *(
        st.tuples(st.just(read), st.tuples(st.integers(1, 3), st.none() | IDS))
        for read in (products.read_products, coupons.read_campaigns)
    ),
)


@pytest.fixture
def connection(database: str) -> Iterator[Connection]:
    with closing(open_storage(database).connect()) as opened:
        for made in (
            [RegisterUser(None), RegisterUser(None), RegisterUser(None), AddProduct("rice", 10, 99)],
            [AddProduct("tea", 20, 99), ChargeBalance(1, 1_000), ChargeBalance(2, 2_000)],
            [StartCampaign("Rush", TERMS, 9, opens_at=None, closes_at=None, coupon_valid_days=30)],
            [ClaimCoupon(1, 1), ClaimCoupon(2, 1)],
            [PlaceOrder(1, (RequestedItem(1, 1), RequestedItem(2, 3)), 1), PlaceOrder(2, (RequestedItem(2, 1),), None)],
            [PlaceOrder(1, (RequestedItem(2, 2),), None), ChargeBalance(2, 5)],
        ):
            commit(opened, [Submission(each) for each in made], lambda: NOW)
        yield opened


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("finishes", [True, False])
@given(queries=st.lists(QUERIES, min_size=1, max_size=60))
def test_queries_have_the_same_answers_together_as_alone(
    connection: Connection, queries: list[tuple[Any, tuple[Any, ...]]], *, finishes: bool
) -> None:
    with connection.snapshot(NOW) as snapshot:
        alone = [read(snapshot, *arguments) for read, arguments in queries]
    with connection.snapshot(NOW) as snapshot:
        sent = [read.send(snapshot, *arguments) for read, arguments in queries]
        if finishes:
            snapshot.finish()
        assert [await_answer() for await_answer in sent] == alone


def reads(database: str) -> Reads:
    return Reads(open_storage(database), lambda: NOW, threads=1, batch_max=100, queue_max=100)


async def run_together(running: Reads, *queries: Query[Any]) -> list[Any]:
    """Run the queries as one batch: they wait while another one runs."""
    has_begun, resume = Event(), Event()

    def wait(_: Snapshot) -> None:
        has_begun.set()
        assert resume.wait(30)

    first = asyncio.create_task(running.run(Query(wait)))
    assert await asyncio.to_thread(has_begun.wait, 30)
    waiting = [asyncio.create_task(running.run(query)) for query in queries]
    await asyncio.sleep(0)
    resume.set()
    await first
    return await asyncio.gather(*waiting, return_exceptions=True)


def sends_invalid_sql(snapshot: Snapshot) -> object:
    return snapshot.rows("SELECT nothing FROM nowhere")


@pytest.mark.usefixtures("connection")
def test_a_query_with_a_defect_fails_alone(database: str) -> None:
    async def scenario() -> None:
        running = reads(database)
        running.start()
        balances = [Query(wallets.read_balance, (user,)) for user in (1, 9, 3)]
        beyond_bigint = Query(wallets.read_balance, (2**63,))
        answers = await run_together(running, *balances, Query(sends_invalid_sql), beyond_bigint)
        assert answers[:3] == [CurrentBalance(900), UserNotFound(9), CurrentBalance(0)]
        assert [type(each) for each in answers[3:]] == [Unavailable, Unavailable]
        await running.stop()

    asyncio.run(scenario())


@pytest.mark.usefixtures("connection")
def test_a_read_that_starts_after_a_write_was_answered_sees_it(database: str) -> None:
    async def scenario() -> None:
        storage = open_storage(database)
        shop = Commands(WriterThread(storage, lambda: NOW, batch_max=9, queue_max=99))
        running = reads(database)
        await shop.start()
        running.start()

        async def charge_and_read(user: int) -> None:
            before = await running.run(Query(wallets.read_balance, (user,)))
            assert isinstance(before, CurrentBalance)
            for number in range(1, 31):
                await shop.submit(ChargeBalance(user, 1))
                assert await running.run(Query(wallets.read_balance, (user,))) == CurrentBalance(
                    before.balance + number
                )

        await asyncio.gather(*(charge_and_read(user) for user in (1, 2, 3)))
        await running.stop()
        await shop.stop()

    asyncio.run(scenario())


def test_reads_are_repeated_on_a_new_connection_where_theirs_was_lost(postgres_database: str, postgres: Any) -> None:
    async def scenario() -> None:
        running = reads(postgres_database)
        running.start()
        query = Query(wallets.read_balance, (1,))
        await running.run(query)
        postgres.run("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'jangteo'")
        answers = await asyncio.gather(running.run(query), running.run(Query(products.read_product, (1,))))
        assert [type(each).__name__ for each in answers] == ["UserNotFound", "ProductNotFound"]
        await running.stop()

    asyncio.run(scenario())
