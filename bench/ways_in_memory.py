"""A way to provide the best sellers in memory, to compare with those in the database."""

import tracemalloc
from array import array
from collections.abc import Iterator
from time import perf_counter

from bench.ways_in_sql import HOUR, Measured, Shop, Standings, Way
from jangteo.core.best_sellers import DEFAULT_BEST
from jangteo.storage.port import Row
from jangteo.storage.timestamps import to_micros


class Ranking(Way):
    """A ranking in the memory of each serving process."""

    name = "a ranking in memory"
    note = "each process fills its own, and must learn of every order of the others; names and stocks are not read"

    def __init__(self, shop: Shop) -> None:
        super().__init__(shop)
        self._sold: dict[int, int] = {}
        self._ranked: list[tuple[int, int]] = []
        self._filled_s = 0.0
        # What leaves the window, and when: time, product and quantity of each order line.
        self._leaving = tuple(array("q") for _ in range(3))

    def prepare(self) -> None:
        """Read all order lines."""
        began = perf_counter()
        for placed_at, product, quantity in self._lines():
            for column, value in zip(self._leaving, (placed_at, product, quantity), strict=True):
                column.append(value)
            self._sold[product] = self._sold.get(product, 0) + quantity
        self._ranked = sorted((-units, product) for product, units in self._sold.items())
        self._filled_s = perf_counter() - began

    def read(self) -> Standings:
        """Read the first of them."""
        return [(product, -units) for units, product in self._ranked[:DEFAULT_BEST]]

    def finish(self, measured: Measured) -> None:
        """Fill another one to measure its memory, which takes longer."""
        measured.beside["s to fill"] = self._filled_s
        tracemalloc.start()
        try:
            other = Ranking(self._shop)
            other.prepare()
            measured.beside["MiB in each process"] = tracemalloc.get_traced_memory()[0] / 2**20
        finally:
            tracemalloc.stop()

    def _lines(self) -> Iterator[Row]:
        sql = """
            SELECT created_at, product_id, quantity FROM orders JOIN order_items ON order_items.order_id = orders.id
            WHERE created_at > :since AND created_at <= :until AND status = 'paid' ORDER BY created_at
        """
        with self._shop.reads.snapshot(self._shop.now) as snapshot:
            last = to_micros(self._shop.now)
            for since in range(self._shop.since, last, HOUR):
                yield from snapshot.rows(sql, since=since, until=min(since + HOUR, last))
