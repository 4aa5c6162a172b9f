"""The engine agrees with a simple model: random commands in random batches, restarts, and time passing."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from jangteo.core.book import Command
from jangteo.core.coupons import CampaignStanding, ClaimCoupon, HeldCoupon, StartCampaign
from jangteo.core.entities import CouponTerms, Order, Product
from jangteo.core.orders import CancelOrder, PlaceOrder, RequestedItem
from jangteo.core.products import AddProduct, MoveStock
from jangteo.core.wallets import ChargeBalance, RegisterUser, UserBalance
from jangteo.engine.batch import Submission, commit
from jangteo.engine.commands import Commands
from jangteo.engine.outcomes import SerializedOutcome
from jangteo.engine.writer.thread import WriterThread
from jangteo.storage import orders, outbox, products, wallets
from jangteo.storage.audit import findings
from jangteo.storage.best_sellers import query
from jangteo.storage.urls import open_storage
from tests.engine.model import Model
from tests.postgres import EMPTY_SHOP, Server

some_user = st.integers(1, 4)
some_product = st.integers(1, 4)
some_campaign = st.integers(1, 3)
some_coupon = st.integers(1, 5)
some_order = st.integers(1, 8)
UNKNOWN = 10**9


class Shops(RuleBasedStateMachine):
    """Commands wait until the rule `commit` commits them as one batch."""

    new_shop: Callable[[], AbstractContextManager[str]]
    gapless: bool
    """Whether ids are numbered without gaps, as the model's are. Otherwise they are known from the outcomes only."""

    @initialize()
    def open_both(self) -> None:
        self.exit_stack = ExitStack()
        self.storage = open_storage(self.exit_stack.enter_context(type(self).new_shop()))
        self.coupon_ids: dict[int, int] = {}
        self.order_ids: dict[int, int] = {}
        self.connection = self.storage.connect()
        self.view = query.BestSellersView()
        self.now = datetime(2026, 11, 23, tzinfo=UTC)
        self.model = Model()
        self.waiting: list[tuple[Command, Any]] = []
        self.keys = 0
        # An empty shop refuses everything: begin with two users and two products.
        for _ in range(2):
            self.register()
            self.add_product(price=300, stock=4)
        self.start_campaign(quantity=2, discount=400)
        self.charge(user=1, amount=5_000)

    @rule()
    def register(self) -> None:
        self._submit(RegisterUser(None), self.model.register)

    @rule(user=some_user, amount=st.integers(1, 3_000))
    def charge(self, user: int, amount: int) -> None:
        self._submit(ChargeBalance(user, amount), lambda: self.model.charge(user, amount))

    @rule(price=st.integers(0, 900), stock=st.integers(0, 5))
    def add_product(self, price: int, stock: int) -> None:
        self._submit(AddProduct("thing", price, stock), lambda: self.model.add_product(price, stock))

    @rule(product=some_product, quantity=st.integers(-4, 6).filter(bool))
    def move_stock(self, product: int, quantity: int) -> None:
        self._submit(MoveStock(product, quantity), lambda: self.model.move_stock(product, quantity))

    @rule(quantity=st.integers(1, 3), discount=st.integers(1, 900))
    def start_campaign(self, quantity: int, discount: int) -> None:
        command = StartCampaign("c", CouponTerms(discount, None, None, 0), quantity, None, None, None)
        self._submit(command, lambda: self.model.start_campaign(quantity, discount))

    @rule(user=some_user, campaign=st.none() | some_campaign)
    def claim(self, user: int, campaign: int | None) -> None:
        self._submit(ClaimCoupon(user, campaign), lambda: self.model.claim(user, campaign))

    @rule(
        user=some_user,
        items=st.lists(st.tuples(some_product, st.integers(1, 3)), min_size=1, max_size=3),
        coupon=st.none() | some_coupon,
    )
    def order(self, user: int, items: list[tuple[int, int]], coupon: int | None) -> None:
        number, coupon_id = (None, None) if coupon is None else self._known(self.coupon_ids, coupon)
        command = PlaceOrder(user, tuple(RequestedItem(*item) for item in items), coupon_id)
        self._submit(command, lambda: self.model.order(user, items, number, self.now))

    @rule(number=some_order)
    def cancel(self, number: int) -> None:
        number, order_id = self._known(self.order_ids, number)
        self._submit(CancelOrder(order_id), lambda: self.model.cancel(number))

    @rule()
    def commit(self) -> None:
        submissions = [Submission(command) for command, _ in self.waiting]
        expected = [model() for _, model in self.waiting]
        self.waiting.clear()
        if submissions:
            assert self._outcomes_of(submissions) == [(each, False) for each in expected]

    @rule(batch_max=st.integers(1, 4))
    def commit_as_bulk(self, batch_max: int) -> None:
        """Submit together what waits: several batches may be made of it, and the outcomes are those of one by one."""
        submissions = [Submission(command) for command, _ in self.waiting]
        expected = [model() for _, model in self.waiting]
        self.waiting.clear()
        outcomes = asyncio.run(self._submit_all(submissions, batch_max))
        assert [self._in_models_form(each.value()) for each in outcomes] == expected

    @rule(user=some_user, amount=st.integers(1, 99), copies=st.integers(2, 3), apart=st.booleans())
    def charge_with_one_key(self, user: int, amount: int, copies: int, *, apart: bool) -> None:
        self.commit()
        self.keys += 1
        submissions = [Submission(ChargeBalance(user, amount), f"key-{self.keys}")] * copies
        first = self.model.charge(user, amount)
        batches = [[each] for each in submissions] if apart else [submissions]
        outcomes = [outcome for batch in batches for outcome in self._outcomes_of(batch)]
        assert outcomes == [(first, False), *[(first, True)] * (copies - 1)]

    @rule()
    def restart(self) -> None:
        self.connection.close()
        self.connection = self.storage.connect()

    @rule(hours=st.integers(1, 30))
    def time_passes(self, hours: int) -> None:
        self.commit()
        self.now += timedelta(hours=hours)

    @invariant()
    def both_agree(self) -> None:
        if not hasattr(self, "model") or self.waiting:
            return
        with self.connection.snapshot(self.now) as snapshot:
            for user, balance in self.model.balances.items():
                assert getattr(wallets.read_balance(snapshot, user), "balance", None) == balance
                entries = wallets.read_ledger(snapshot, user, 1000, None)
                assert [entry.amount for entry in reversed(getattr(entries, "items", []))] == self.model.ledger[user]
            listed = products.read_products(snapshot, None, None).items
            assert {product.id: product.stock for product in listed} == self.model.stock
            for best in (self.view.read(snapshot, 5, 3), query.count_best_sellers(snapshot, 3)):
                assert best is not None
                assert [(each.id, each.sold) for each in best.value[:5]] == self.model.best_sellers(self.now)
            for number, order in self.model.orders.items():
                stored = orders.read_order(snapshot, self.order_ids[number])
                assert isinstance(stored, Order)
                assert (stored.status == "cancelled", stored.total) == (order.cancelled, order.total)
            waiting = outbox.read_waiting(snapshot, frozenset(), 1000)
            lines = [] if waiting is None else waiting.lines.splitlines()
            numbers = {order_id: number for number, order_id in self.order_ids.items()}
            for line, expected in zip(lines, self.model.events, strict=True):
                _, _, order_id, what = json.loads(line)["id"].split("-")
                assert f"order-{numbers[int(order_id)]}-{what}" == expected

    def teardown(self) -> None:
        if hasattr(self, "model"):
            with self.connection.snapshot(self.now) as snapshot:
                assert [finding for finding in findings(snapshot) if finding.broken] == []
            self.connection.close()
            self.exit_stack.close()

    def _submit(self, command: Command, model: Any) -> None:
        self.waiting.append((command, model))

    async def _submit_all(self, submissions: list[Submission], batch_max: int) -> list[SerializedOutcome]:
        commands = Commands(WriterThread(self.storage, lambda: self.now, batch_max=batch_max, queue_max=1_000))
        await commands.start()
        outcomes = await asyncio.gather(*commands.submit_all(submissions))
        assert await commands.stop()
        return outcomes

    def _outcomes_of(self, submissions: list[Submission]) -> list[tuple[Any, bool]]:
        """Commit a batch; its outcomes in the model's form, and whether they were replayed."""
        outcomes = []
        for outcome in commit(self.connection, submissions, lambda: self.now).outcomes:
            assert isinstance(outcome, SerializedOutcome)
            outcomes.append((self._in_models_form(outcome.value()), outcome.replayed))
        return outcomes

    def _known(self, ids: dict[int, int], number: int) -> tuple[int, int]:
        """The model's number and the engine's id of it; both unknown if no client could know the id yet."""
        if self.gapless:
            return number, number
        return (number, ids[number]) if number in ids else (UNKNOWN, UNKNOWN)

    def _in_models_form(self, outcome: Any) -> tuple[Any, ...]:
        match outcome:
            case UserBalance():
                return ("Wallet", outcome.user_id, outcome.balance)
            case Product():
                return ("Product", outcome.id, outcome.stock)
            case CampaignStanding():
                return ("CampaignStanding", outcome.campaign_id)
            case HeldCoupon():
                return ("HeldCoupon", self._number(self.coupon_ids, outcome.coupon_id))
            case Order():
                return ("Order", self._number(self.order_ids, outcome.order_id), outcome.total, outcome.status)
            case refusal:
                return (type(refusal).__name__,)

    def _number(self, ids: dict[int, int], new_id: int) -> int:
        for number, known in ids.items():
            if known == new_id:
                return number
        number = len(ids) + 1
        assert new_id == number or not self.gapless
        ids[number] = new_id
        return number


class ShopsOnSqlite(Shops):
    gapless = True


class ShopsOnPostgres(Shops):
    gapless = False


@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_engine_agrees_with_the_model_on_sqlite(empty_database: Path) -> None:
    @contextmanager
    def new_shop() -> Iterator[str]:
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite:///{shutil.copy(empty_database, folder)}"

    ShopsOnSqlite.new_shop = new_shop
    settings_here = settings(max_examples=120, stateful_step_count=40, deadline=None)
    run_state_machine_as_test(ShopsOnSqlite, settings=settings_here)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_engine_agrees_with_the_model_on_postgres(postgres: Server) -> None:
    @contextmanager
    def new_shop() -> Iterator[str]:
        yield postgres.create("modelled", EMPTY_SHOP)
        postgres.drop("modelled")

    ShopsOnPostgres.new_shop = new_shop
    settings_here = settings(max_examples=40, stateful_step_count=40, deadline=None)
    run_state_machine_as_test(ShopsOnPostgres, settings=settings_here)
