"""Ranking the best sellers of a window from its leading buckets: the top k without reading all of them."""

from collections.abc import Mapping
from typing import NamedTuple

from jangteo.core.best_sellers import rank
from jangteo.storage.best_sellers.buckets import (
    PRODUCTS_PER_BUCKET,
    Units,
    bounded_max,
    bucket_of,
    units_by_product,
    units_of,
)


class Leading(NamedTuple):
    """The buckets of a window with the largest numbers of units, best first; of ties the lower number first."""

    buckets: Mapping[int, Units]
    are_all: bool
    """Whether the window has no other buckets."""


class Ranking:
    """Ranks products from the leading buckets and from what has changed since these were written.

    `best` is final once `is_final` says so. Before that, `missing` names buckets to read and `add`, and if that doesn't
    suffice, a ranking of more leading buckets does.
    """

    def __init__(self, leading: Leading, changes: Mapping[int, int], limit: int) -> None:
        self._buckets = dict(leading.buckets)
        self._changes = changes
        self._limit = limit
        self._last = next(reversed(self._buckets), 0)
        # No product of an unread bucket ranked above this when the buckets were written: from 2^53 on all units tie.
        self._bound = 0 if leading.are_all else bounded_max(self._buckets[self._last])
        self.best = self._rank()

    def missing(self) -> set[int]:
        """The numbers of unread buckets with products that have sold enough since to be among the best."""
        needed = max(self._units_needed() - self._bound, 1)
        # In a rush there are thousands of changes, nearly all of them too small to matter.
        numbers = {bucket_of(product) for product, change in self._changes.items() if change >= needed}
        return numbers - self._buckets.keys()

    def add(self, buckets: Mapping[int, Units]) -> None:
        """Rank again with the missing buckets; those that don't exist have no units yet."""
        self._buckets |= {number: buckets.get(number, ()) for number in self.missing()}
        self.best = self._rank()

    def is_final(self) -> bool:
        """Whether no product of an unread bucket can be among the best."""
        if not self._bound:
            return True
        if len(self.best) < self._limit:
            return False
        product, units = self.best[-1]
        # Of tied buckets the one with the lower products came first.
        return units > self._bound or (units == self._bound and product < (self._last + 1) * PRODUCTS_PER_BUCKET)

    def _units_needed(self) -> int:
        return self.best[-1][1] if len(self.best) == self._limit else 1

    def _rank(self) -> list[tuple[int, int]]:
        buckets, changes, floor = self._buckets, self._changes, self._floor()
        candidates = {
            product: count
            for number, units in buckets.items()
            for product, count in units_by_product(number, units)
            if count >= floor
        }
        for product in [product for product in changes if bucket_of(product) in buckets]:
            candidates[product] = units_of(buckets[bucket_of(product)], product) + changes[product]
        return rank(candidates, self._limit)

    def _floor(self) -> int:
        """Unchanged products with fewer units are not among the best: each bucket has one with its largest number."""
        largest = sorted(map(bounded_max, self._buckets.values()), reverse=True)
        if len(largest) < self._limit:
            return 1
        return max(largest[self._limit - 1] + min([0, *self._changes.values()]), 1)
