"""Whatever happens, in any order: the view, the direct query and a model of the orders agree, to the microsecond."""

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

from jangteo.core import best_sellers
from jangteo.core.best_sellers import RefreshBestSellers
from jangteo.core.entities import Window
from jangteo.core.orders import CancelOrder
from jangteo.storage.best_sellers import refresh, sold_units
from jangteo.storage.best_sellers.backfill import WindowRetired, plan_finish, plan_start, scan_orders
from jangteo.storage.best_sellers.refresh import plan_refresh
from jangteo.storage.best_sellers.windows import read_windows
from tests.postgres import EMPTY_SHOP, Server
from tests.storage.best_sellers.shop import PRODUCTS, Best, BestSellersShop, bought, read_both
from tests.storage.shops import DAY, OPENED

MICRO = timedelta(microseconds=1)
WINDOWS = (1, 3, 7)
some_products = st.lists(st.sampled_from(PRODUCTS), min_size=1, max_size=3, unique=True)
some_lag = st.sampled_from([timedelta(), timedelta(), MICRO, timedelta(minutes=2), timedelta(hours=25)])
"""How far another server's clock is behind."""


@dataclass
class Sold:
    order: int
    at: datetime
    items: Mapping[int, int]
    cancelled: bool = False


class BestSellers(RuleBasedStateMachine):
    """A shop and a list of its orders. Refreshes are planned at one time, and applied at another, or never."""

    new_shop: Callable[[], AbstractContextManager[str]]

    @initialize(whole=st.booleans())
    def open(self, *, whole: bool) -> None:
        self.around = ExitStack()
        self.shop = BestSellersShop(self.around.enter_context(type(self).new_shop()))
        self.shop.set_up()
        if not whole:
            # As one of an earlier version, whose window must be backfilled.
            self.shop.change("DELETE FROM best_seller_windows")
        self.now = OPENED + 40 * DAY
        self.sold: list[Sold] = []
        self.plans: list[RefreshBestSellers] = []
        self.scanned: list[tuple[Window, Mapping[int, int]]] = []
        self.limits = cycle((1, 100, 2, 3))

    @rule(products=some_products, units=st.integers(1, 3), lag=some_lag, copies=st.integers(1, 3))
    def order(self, products: list[int], units: int, lag: timedelta, copies: int) -> None:
        items = {product: units + index for index, product in enumerate(products)}
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

    @rule(requested=st.sets(st.sampled_from(WINDOWS)))
    def refresh(self, requested: set[int]) -> None:
        self.plan(requested, timedelta())
        if self.plans:
            self.apply(-1)

    @rule(requested=st.sets(st.sampled_from(WINDOWS)), lag=some_lag)
    def plan(self, requested: set[int], lag: timedelta) -> None:
        planned = self.shop.look(plan_refresh, frozenset(requested), at=self.now - lag)
        if planned is not None:
            self.plans.append(planned.command)

    @rule(days=st.sampled_from(WINDOWS))
    def plan_rebuild(self, days: int) -> None:
        self.plans.append(self.shop.look(plan_start, days, at=self.now))

    @precondition(lambda self: self.plans)
    @rule(number=st.sampled_from([-1, -1, -1, 0, 1]))
    def apply(self, number: int) -> None:
        self.shop.is_applied(self.plans.pop(number % len(self.plans)), self.now)

    @rule(number=st.integers(0, 5), lag=some_lag)
    def backfill(self, number: int, lag: timedelta) -> None:
        backfilling = [window for window in self.shop.look(read_windows, at=self.now) if window.state == "backfilling"]
        if backfilling:
            window = backfilling[number % len(backfilling)]
            self.scanned.append((window, self.shop.look(scan_orders, window, lambda _: None, at=self.now - lag)))

    @precondition(lambda self: self.scanned)
    @rule(number=st.sampled_from([-1, -1, 0, 1]), at_once=st.booleans())
    def finish(self, number: int, *, at_once: bool) -> None:
        window, missing = self.scanned[number % len(self.scanned)]
        try:
            finish = self.shop.look(plan_finish, window, missing, at=self.now)
        except WindowRetired:
            self.scanned.remove((window, missing))
        else:
            if finish is not None:
                self.plans.append(finish)
            if finish is not None and at_once:
                self.apply(-1)

    @invariant()
    def all_agree(self) -> None:
        if not hasattr(self, "shop"):
            return
        limit = next(self.limits)
        for days in WINDOWS:
            from_view, direct = self.shop.look(read_both, self.shop.view, limit, days, at=self.now)
            assert [(each.id, each.sold) for each in direct] == self.best(days)[:limit]
            assert from_view in (None, direct), (days, limit)

    def best(self, days: int) -> Best:
        units: dict[int, int] = {}
        for each in self.sold:
            if not each.cancelled and self.now - each.at < days * DAY:
                for product, quantity in each.items.items():
                    units[product] = units.get(product, 0) + quantity
        return sorted(units.items(), key=lambda pair: (-pair[1], pair[0]))

    def teardown(self) -> None:
        if hasattr(self, "shop"):
            assert self.shop.wrong(self.now) == []
            self.shop.close()
            self.around.close()


@pytest.fixture(autouse=True)
def small_refreshes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every change is worth a refresh, and hardly any fit into one."""
    monkeypatch.setattr(best_sellers, "MIN_CHANGES", 1)
    monkeypatch.setattr(sold_units, "ORDERS_PER_CHUNK", 3)
    monkeypatch.setattr(refresh, "DELTAS_PER_REFRESH", 3)
    monkeypatch.setattr(refresh, "BUCKETS_REMOVED_PER_REFRESH", 2)


@pytest.mark.long
@pytest.mark.timeout(300)
def test_view_and_direct_query_agree_with_the_model_on_sqlite(empty_database: Path) -> None:
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
def test_view_and_direct_query_agree_with_the_model_on_postgres(postgres: Server) -> None:
    @contextmanager
    def new_shop() -> Iterator[str]:
        yield postgres.create("best_sellers", EMPTY_SHOP)
        postgres.drop("best_sellers")

    class OnPostgres(BestSellers):
        pass

    OnPostgres.new_shop = new_shop
    run_state_machine_as_test(OnPostgres, settings=settings(max_examples=30, stateful_step_count=50, deadline=None))
