"""A small shop whose best sellers are counted step by step, at moments of the test's choice."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime

from jangteo.core.counting import Counted, CountSales, Window
from jangteo.core.entities import BestSeller
from jangteo.core.orders import PlaceOrder, RequestedItem
from jangteo.core.sales_pages import PAGE_PRODUCTS
from jangteo.storage.best_sellers.query import count_best_sellers, read_best_sellers
from jangteo.storage.best_sellers.refresh import Planned, count_window, plan_finish, plan_step, read_windows
from jangteo.storage.port import Snapshot
from tests.storage.shops import OPENED, Shop

Best = list[tuple[int, int]]
PRODUCTS = (1, 2, PAGE_PRODUCTS - 1, PAGE_PRODUCTS, PAGE_PRODUCTS + 3, 5 * PAGE_PRODUCTS + 9, 2**52 + 1)
"""On four pages."""


def bought(*lines: tuple[int, int]) -> PlaceOrder:
    """So many of each product."""
    return PlaceOrder(1, tuple(RequestedItem(*line) for line in lines), None)


def kept_and_direct(snapshot: Snapshot, limit: int, days: int) -> tuple[list[BestSeller] | None, list[BestSeller]]:
    """The best sellers both ways, from one snapshot."""
    kept, direct = read_best_sellers(snapshot, limit, days), count_best_sellers(snapshot, limit, days)
    return (None if kept is None else kept.value), direct.value


class CountedShop(Shop):
    """Whoever reads its best sellers has them both ways."""

    def set_up(self) -> None:
        """With products on several pages."""
        super().set_up()
        far = PRODUCTS[2:]
        names = ", ".join(f"({product}, 'far', 1, 10000, 1)" for product in far)
        moved = ", ".join(f"({product}, 10000, 1)" for product in far)
        self.change(
            f"INSERT INTO products (id, name, price, stock, created_at) VALUES {names}",
            f"INSERT INTO stock_movements (product_id, quantity, created_at) VALUES {moved}",
        )

    def buy(self, *lines: tuple[int, int], at: datetime = OPENED) -> int:
        """One order in a batch of its own."""
        (order,) = self.do(bought(*lines), at=at)
        order_id: int = order.order_id
        return order_id

    def plan(self, at: datetime, *asked: int) -> Planned | None:
        """The next step; windows of so many days were asked for."""
        return self.look(plan_step, frozenset(asked), at=at)

    def step(self, at: datetime, *asked: int) -> CountSales:
        """Plan a step and do it."""
        planned = self.plan(at, *asked)
        assert planned is not None
        assert self.is_done(planned.command, at=at)
        return planned.command

    def count(self, at: datetime) -> None:
        """Do a step, if there is anything worth one."""
        if self.plan(at) is not None:
            self.step(at)

    def is_done(self, command: CountSales, at: datetime) -> bool:
        """Do a step, if it doesn't come too late."""
        (told,) = self.do(command, at=at)
        assert isinstance(told, Counted)
        return told.done

    def begin(self, at: datetime, days: int) -> Window:
        """Begin a window, which isn't kept before it is built."""
        (window,) = self.step(at, days).step.new_windows
        return window

    def lacking(self, window: Window, at: datetime) -> Mapping[int, int]:
        """What a window that is being built lacks."""
        return self.look(count_window, window, lambda _: None, at=at)

    def finish(self, window: Window, lacking: Mapping[int, int], at: datetime) -> None:
        """Make it whole."""
        finish = self.look(plan_finish, window, lacking, at=at)
        assert finish is not None
        assert self.is_done(finish, at=at)

    def keep(self, at: datetime, days: int) -> Window:
        """A window that is begun and built."""
        window = self.begin(at, days)
        self.finish(window, self.lacking(window, at), at)
        return window

    def states(self) -> list[tuple[int, int, str]]:
        """All windows: their ids, days and states."""
        return [(each.window_id, each.days, each.state) for each in self.look(read_windows)]

    def is_kept(self, at: datetime, days: int) -> bool:
        """Whether the best sellers are read from what is counted."""
        return self.look(read_best_sellers, 5, days, at=at) is not None

    def agreed(self, at: datetime, days: int = 3, limits: Collection[int] = (1, 2, 3, 100)) -> Best:
        """The best sellers, the same both ways whatever the limit."""
        for limit in limits:
            kept, direct = self.look(kept_and_direct, limit, days, at=at)
            assert kept == direct, (days, limit)
        return [(each.id, each.sold) for each in direct]


@contextmanager
def counted_shop(database: str) -> Iterator[CountedShop]:
    """An empty shop becomes one."""
    with closing(CountedShop(database)) as shop:
        shop.set_up()
        yield shop
