"""Sales on pages: what was sold of products with neighbouring ids is one list of numbers.

So a step of the counting changes as many rows as there are pages, at most, however much was sold; and the best sellers
are on the first pages, in order of the most that was sold of one product.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from jangteo.core.best_sellers import rank

PAGE_PRODUCTS: Final = 128

Page = Sequence[int]
"""How much was sold of each product on it, in order of their ids; what is left out at the end is 0."""


class Leading(NamedTuple):
    """A window's first pages: those with the most that was sold of one product, in that order; of equals the lower
    number first.
    """

    pages: Mapping[int, Page]
    are_all: bool
    """Whether the window has no other pages."""


def paginate(product: int) -> int:
    """The number of the page that a product is on."""
    return product // PAGE_PRODUCTS


def units_on(page: Page, product: int) -> int:
    """How much was sold of a product on this page."""
    place = product % PAGE_PRODUCTS
    return page[place] if place < len(page) else 0


def products_of(number: int, page: Page) -> Iterable[tuple[int, int]]:
    """What was sold of each product on a page."""
    return enumerate(page, number * PAGE_PRODUCTS)


def changed(page: Page, changes: Iterable[tuple[int, int]]) -> list[int]:
    """A page after so many units of these products have come or gone."""
    units = [*page, *([0] * (PAGE_PRODUCTS - len(page)))]
    for product, change in changes:
        units[product % PAGE_PRODUCTS] += change
    while units and not units[-1]:
        units.pop()
    return units


def by_page(changes: Mapping[int, int]) -> dict[int, list[tuple[int, int]]]:
    """Changes of products by the pages that they are on."""
    pages: dict[int, list[tuple[int, int]]] = {}
    for product, change in changes.items():
        if change:
            pages.setdefault(paginate(product), []).append((product, change))
    return pages


class Standings:
    """Who comes first, from the leading pages and from what has come and gone since these were written."""

    def __init__(self, leading: Leading, changes: Mapping[int, int], limit: int) -> None:
        self._pages = dict(leading.pages)
        self._changes = changes
        self._limit = limit
        self._last = next(reversed(self._pages), 0)
        # No product of a page that isn't here has sold more than this, as far as it was counted.
        self._bound = 0 if leading.are_all else max(self._pages[self._last], default=0)
        self.best = self._ranked()

    def missing(self) -> set[int]:
        """The pages of products that have sold so much since that they may be among the best."""
        needed = max(self._needed() - self._bound, 1)
        # In a rush there are thousands of changes, and nearly all of them are too small to matter.
        return {paginate(product) for product, change in self._changes.items() if change >= needed} - self._pages.keys()

    def add(self, pages: Mapping[int, Page]) -> None:
        """Rank anew, with those of the missing pages that there are: of the others nothing was counted yet."""
        self._pages |= {number: pages.get(number, ()) for number in self.missing()}
        self.best = self._ranked()

    def are_final(self) -> bool:
        """Whether nothing of the pages that aren't here could be among the best, of what has not sold more since."""
        if not self._bound:
            return True
        if len(self.best) < self._limit:
            return False
        product, units = self.best[-1]
        # Of pages that are level the one with the lower products came first.
        return units > self._bound or (units == self._bound and product < (self._last + 1) * PAGE_PRODUCTS)

    def _needed(self) -> int:
        return self.best[-1][1] if len(self.best) == self._limit else 1

    def _ranked(self) -> list[tuple[int, int]]:
        pages, changes, floor = self._pages, self._changes, self._floor()
        standings = {
            product: units
            for number, page in pages.items()
            for product, units in products_of(number, page)
            if units >= floor
        }
        for product in [product for product in changes if paginate(product) in pages]:
            standings[product] = units_on(pages[paginate(product)], product) + changes[product]
        return rank(standings, self._limit)

    def _floor(self) -> int:
        """What has sold less, and no more since, is not among the best: each page has one that has sold its most."""
        most = sorted((max(page, default=0) for page in self._pages.values()), reverse=True)
        if len(most) < self._limit:
            return 1
        return max(most[self._limit - 1] + min([0, *self._changes.values()]), 1)
