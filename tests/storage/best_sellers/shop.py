"""A small shop whose best sellers are refreshed one by one, at times of the test's choice."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime

from jangteo.core.best_sellers import RefreshBestSellers, RefreshOutcome
from jangteo.core.entities import BestSeller, Window
from jangteo.core.orders import PlaceOrder, RequestedItem
from jangteo.storage import schema
from jangteo.storage.best_sellers.backfill import plan_finish, scan_orders
from jangteo.storage.best_sellers.buckets import PRODUCTS_PER_BUCKET
from jangteo.storage.best_sellers.query import BestSellersView, count_best_sellers
from jangteo.storage.best_sellers.refresh import PlannedRefresh, plan_refresh
from jangteo.storage.best_sellers.windows import read_windows
from jangteo.storage.port import Insert, Snapshot
from tests.storage.shops import OPENED, Shop

Best = list[tuple[int, int]]
NEW_PRODUCTS = Insert(schema.products, ("id", "name", "price", "stock", "created_at"))
MOVEMENTS = Insert(schema.stock_movements, ("product_id", "quantity", "created_at"))
PRODUCTS = (
    1,
    2,
    PRODUCTS_PER_BUCKET - 1,
    PRODUCTS_PER_BUCKET,
    PRODUCTS_PER_BUCKET + 3,
    5 * PRODUCTS_PER_BUCKET + 9,
    2**52 + 1,
)
"""In four buckets."""


def bought(*items: tuple[int, int], user: int = 1) -> PlaceOrder:
    """An order of (product, quantity)."""
    return PlaceOrder(user, tuple(RequestedItem(*item) for item in items), None)


def read_both(
    snapshot: Snapshot, view: BestSellersView, limit: int, days: int
) -> tuple[list[BestSeller] | None, list[BestSeller]]:
    """The best sellers from the view and from the orders, from one snapshot."""
    from_view, direct = view.read(snapshot, limit, days), count_best_sellers(snapshot, days)
    return (None if from_view is None else from_view.value), direct.value[:limit]


class BestSellersShop(Shop):
    """Compares the view with the orders whenever a test reads the best sellers."""

    def __init__(self, database: str) -> None:
        super().__init__(database)
        self.view = BestSellersView()

    def set_up(self) -> None:
        """With products in several buckets."""
        super().set_up()
        far = PRODUCTS[2:]
        with self._connection.transaction() as session:
            session.insert(MOVEMENTS, [(product, 10_000, 1) for product in far])
            # New ids continue after these.
            session.import_rows(NEW_PRODUCTS, [(product, "far", 1, 10_000, 1) for product in far])

    def change(self, *sql: str) -> None:
        """Change rows as no command does. The view's cache can't know, so it starts anew."""
        super().change(*sql)
        self.view = BestSellersView()

    def buy(self, *items: tuple[int, int], at: datetime = OPENED) -> int:
        """One order in a batch of its own."""
        (order,) = self.do(bought(*items), at=at)
        order_id: int = order.order_id
        return order_id

    def plan(self, at: datetime, *requested: int) -> PlannedRefresh | None:
        """Plan the next refresh; clients have requested windows of so many days."""
        return self.look(plan_refresh, frozenset(requested), at=at)

    def refresh(self, at: datetime, *requested: int) -> RefreshBestSellers:
        """Plan a refresh and apply it."""
        planned = self.plan(at, *requested)
        assert planned is not None
        assert self.is_applied(planned.command, at=at)
        return planned.command

    def refresh_if_worth_it(self, at: datetime) -> None:
        if self.plan(at) is not None:
            self.refresh(at)

    def is_applied(self, command: RefreshBestSellers, at: datetime) -> bool:
        """Submit a refresh; whether no other one came first."""
        (outcome,) = self.do(command, at=at)
        assert isinstance(outcome, RefreshOutcome)
        return outcome.applied

    def start_window(self, at: datetime, days: int) -> Window:
        """Start a window, which is not active before it is backfilled."""
        (window,) = self.refresh(at, days).refresh.new_windows
        return window

    def missing(self, window: Window, at: datetime) -> Mapping[int, int]:
        """The units that a backfilling window lacks."""
        return self.look(scan_orders, window, lambda _: None, at=at)

    def finish(self, window: Window, missing: Mapping[int, int], at: datetime) -> None:
        """Activate it."""
        finish = self.look(plan_finish, window, missing, at=at)
        assert finish is not None
        assert self.is_applied(finish, at=at)

    def add_window(self, at: datetime, days: int) -> Window:
        """Start and backfill a window."""
        window = self.start_window(at, days)
        self.finish(window, self.missing(window, at), at)
        return window

    def states(self) -> list[tuple[int, int, str]]:
        """All windows: their ids, days and states."""
        return [(each.window_id, each.days, each.state) for each in self.look(read_windows)]

    def view_answers(self, at: datetime, days: int) -> bool:
        """Whether the view can answer."""
        return self.look(self.view.read, 5, days, at=at) is not None

    def best(self, at: datetime, days: int = 3, limits: Collection[int] = (1, 2, 3, 100)) -> Best:
        """The best sellers, the same from the view and from the orders whatever the limit."""
        for limit in limits:
            from_view, direct = self.look(read_both, self.view, limit, days, at=at)
            assert from_view == direct, (days, limit)
        return [(each.id, each.sold) for each in direct]


@contextmanager
def best_sellers_shop(database: str) -> Iterator[BestSellersShop]:
    """Make an empty shop one."""
    with closing(BestSellersShop(database)) as shop:
        shop.set_up()
        yield shop
