"""Whatever happens, in whatever order: the best sellers from what is counted are those of the orders, to the
microsecond, at every moment at which they are read; and so says a model that knows nothing but the orders.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import cycle
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from jangteo.core.counting import CountSales, Window
from jangteo.core.orders import CancelOrder
from jangteo.storage.best_sellers import refresh
from jangteo.storage.best_sellers.refresh import (
    WindowGone,
    count_window,
    plan_building,
    plan_finish,
    plan_step,
    read_windows,
)
from tests.postgres import EMPTY_SHOP, Server
from tests.storage.refreshed import PRODUCTS, Best, CountedShop, bought, kept_and_direct
from tests.storage.shops import DAY, OPENED

MICRO = timedelta(microseconds=1)
WINDOWS = (1, 3, 7)
some_products = st.lists(st.sampled_from(PRODUCTS), min_size=1, max_size=3, unique=True)
some_lag = st.sampled_from([timedelta(), timedelta(), MICRO, timedelta(minutes=2), timedelta(hours=25)])
"""Another server's clock is so much behind."""


@dataclass
class Sold:
    order: int
    at: datetime
    items: Mapping[int, int]
    cancelled: bool = False


class BestSellers(RuleBasedStateMachine):
    """A shop and a list of its orders. Steps are planned at one moment, and done at another, or never."""

    new_shop: Callable[[], AbstractContextManager[str]]

    @initialize(whole=st.booleans())
    def open(self, *, whole: bool) -> None:
        self.around = ExitStack()
        self.shop = CountedShop(self.around.enter_context(type(self).new_shop()))
        self.shop.set_up()
        if not whole:
            # As one of an earlier version, which has to count all that it has.
            self.shop.change("DELETE FROM best_seller_windows")
        self.now = OPENED + 40 * DAY
        self.sold: list[Sold] = []
        self.plans: list[CountSales] = []
        self.built: list[tuple[Window, Mapping[int, int]]] = []
        self.limits = cycle((1, 100, 2, 3))

    @rule(products=some_products, units=st.integers(1, 3), lag=some_lag, copies=st.integers(1, 3))
    def order(self, products: list[int], units: int, lag: timedelta, copies: int) -> None:
        items = {product: units + place for place, product in enumerate(products)}
        placed = self.shop.do(*[bought(*items.items())] * copies, at=self.now - lag)
        self.sold += [Sold(each.order_id, self.now - lag, items) for each in placed]

    @precondition(lambda self: self.sold)
    @rule(numbers=st.lists(st.integers(0, 99), min_size=1, max_size=3), products=some_products)
    def cancel_and_order(self, numbers: list[int], products: list[int]) -> None:
        cancelled = {number % len(self.sold): self.sold[number % len(self.sold)] for number in numbers}
        commands = [CancelOrder(each.order) for each in cancelled.values()]
        *_, placed = self.shop.do(*commands, bought(*((each, 1) for each in products)), at=self.now)
        for each in cancelled.values():
            each.cancelled = True
        self.sold.append(Sold(placed.order_id, self.now, dict.fromkeys(products, 1)))

    @rule(minutes=st.sampled_from([-130, -3, -1, 1, 4, 11, 90, 60 * 25]))
    def time_passes(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)

    @precondition(lambda self: self.sold)
    @rule(number=st.integers(0, 99), days=st.sampled_from(WINDOWS), offset=st.sampled_from([-1, 0, 1]))
    def an_order_leaves(self, number: int, days: int, offset: int) -> None:
        end = self.sold[number % len(self.sold)].at + days * DAY + offset * MICRO
        # Clocks go back by little.
        self.now = max(end, self.now - timedelta(hours=1))

    @rule(asked=st.sets(st.sampled_from(WINDOWS)))
    def count(self, asked: set[int]) -> None:
        self.plan(asked, timedelta())
        if self.plans:
            self.do(-1)

    @rule(asked=st.sets(st.sampled_from(WINDOWS)), lag=some_lag)
    def plan(self, asked: set[int], lag: timedelta) -> None:
        planned = self.shop.look(plan_step, frozenset(asked), at=self.now - lag)
        if planned is not None:
            self.plans.append(planned.command)

    @rule(days=st.sampled_from(WINDOWS))
    def plan_anew(self, days: int) -> None:
        self.plans.append(self.shop.look(plan_building, days, at=self.now))

    @precondition(lambda self: self.plans)
    @rule(number=st.sampled_from([-1, -1, -1, 0, 1]))
    def do(self, number: int) -> None:
        self.shop.is_done(self.plans.pop(number % len(self.plans)), self.now)

    @rule(number=st.integers(0, 5), lag=some_lag)
    def build(self, number: int, lag: timedelta) -> None:
        building = [window for window in self.shop.look(read_windows, at=self.now) if window.state == "backfilling"]
        if building:
            window = building[number % len(building)]
            self.built.append((window, self.shop.look(count_window, window, lambda _: None, at=self.now - lag)))

    @precondition(lambda self: self.built)
    @rule(number=st.sampled_from([-1, -1, 0, 1]), at_once=st.booleans())
    def finish(self, number: int, *, at_once: bool) -> None:
        window, lacking = self.built[number % len(self.built)]
        try:
            finish = self.shop.look(plan_finish, window, lacking, at=self.now)
        except WindowGone:
            self.built.remove((window, lacking))
        else:
            if finish is not None:
                self.plans.append(finish)
            if finish is not None and at_once:
                self.do(-1)

    @invariant()
    def all_agree(self) -> None:
        if not hasattr(self, "shop"):
            return
        limit = next(self.limits)
        for days in WINDOWS:
            kept, direct = self.shop.look(kept_and_direct, limit, days, at=self.now)
            assert [(each.id, each.sold) for each in direct] == self.best(days)[:limit]
            assert kept in (None, direct), (days, limit)

    def best(self, days: int) -> Best:
        units: dict[int, int] = {}
        for each in self.sold:
            if not each.cancelled and self.now - each.at < days * DAY:
                for product, quantity in each.items.items():
                    units[product] = units.get(product, 0) + quantity
        return sorted(units.items(), key=lambda standing: (-standing[1], standing[0]))

    def teardown(self) -> None:
        if hasattr(self, "shop"):
            assert self.shop.wrong(self.now) == []
            self.shop.close()
            self.around.close()


@pytest.fixture(autouse=True)
def little_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is too little for a step, and hardly anything goes into one."""
    for name, number in (("FEW", 1), ("NOTES_AT_ONCE", 3), ("ORDERS_AT_ONCE", 3), ("PAGES_AT_ONCE", 2)):
        monkeypatch.setattr(refresh, name, number)


@pytest.mark.long
@pytest.mark.timeout(300)
def test_both_ways_agree_with_the_model_on_sqlite(empty_database: Path) -> None:
    @contextmanager
    def new_shop() -> Iterator[str]:
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite:///{shutil.copy(empty_database, folder)}"

    class OnSqlite(BestSellers):
        pass

    OnSqlite.new_shop = new_shop
    run_state_machine_as_test(OnSqlite, settings=settings(max_examples=100, stateful_step_count=50, deadline=None))


@pytest.mark.long
@pytest.mark.timeout(300)
def test_both_ways_agree_with_the_model_on_postgres(postgres: Server) -> None:
    @contextmanager
    def new_shop() -> Iterator[str]:
        yield postgres.create("best_sellers", EMPTY_SHOP)
        postgres.drop("best_sellers")

    class OnPostgres(BestSellers):
        pass

    OnPostgres.new_shop = new_shop
    run_state_machine_as_test(OnPostgres, settings=settings(max_examples=30, stateful_step_count=50, deadline=None))
