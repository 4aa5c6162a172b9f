"""The best sellers from a few pages are those of all pages: whatever was sold, and whatever has come and gone since."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jangteo.core.best_sellers import rank
from jangteo.core.sales_pages import (
    PAGE_PRODUCTS,
    Leading,
    Page,
    Standings,
    by_page,
    changed,
    paginate,
    products_of,
    units_on,
)

LAST = PAGE_PRODUCTS - 1

CHANGED = [
    ([], [], []),
    ([], [(0, 2)], [2]),
    ([], [(PAGE_PRODUCTS, 2)], [2]),
    ([], [(3, 2)], [0, 0, 0, 2]),
    ([1, 2], [(0, 4), (1, -1)], [5, 1]),
    ([1, 2], [(1, -2)], [1]),
    ([0, 0, 3], [(2, -3)], []),
    ([1, 0, 3], [(2, -3)], [1]),
    ([1], [(LAST, 7)], [1, *[0] * (LAST - 1), 7]),
    # While a window is being counted, more may have been given back than is on its pages.
    ([], [(1, -2)], [0, -2]),
]


@pytest.mark.parametrize(("before", "changes", "after"), CHANGED)
def test_a_page_is_as_long_as_its_last_product(
    before: list[int], changes: list[tuple[int, int]], after: list[int]
) -> None:
    kept = list(before)
    assert changed(before, changes) == after
    assert before == kept


BY_PAGE = [
    ({}, {}),
    ({1: 0}, {}),
    ({1: 2, LAST: -1}, {0: [(1, 2), (LAST, -1)]}),
    ({LAST: 1, LAST + 1: 2, 2**53 - 1: 3}, {0: [(LAST, 1)], 1: [(LAST + 1, 2)], 2**46 - 1: [(2**53 - 1, 3)]}),
]


@pytest.mark.parametrize(("changes", "pages"), BY_PAGE)
def test_changes_go_to_the_pages_of_their_products(
    changes: dict[int, int], pages: dict[int, list[tuple[int, int]]]
) -> None:
    assert by_page(changes) == pages


UNITS_ON = [([], 5, 0), ([1, 2], 1, 2), ([1, 2], 2, 0), ([1, 2], PAGE_PRODUCTS + 1, 2), ([1, 2], PAGE_PRODUCTS + 2, 0)]


@pytest.mark.parametrize(("page", "product", "units"), UNITS_ON)
def test_what_a_page_does_not_reach_was_not_sold(page: list[int], product: int, units: int) -> None:
    assert units_on(page, product) == units


def test_the_products_of_a_page_are_those_that_are_found_on_it() -> None:
    page = [5, 0, 7]
    assert list(products_of(3, page)) == [(384, 5), (385, 0), (386, 7)]
    assert [(paginate(product), units_on(page, product)) for product, _ in products_of(3, page)] == [
        (3, 5), (3, 0), (3, 7)
    ]  # fmt: skip


def pages_of(sold: Mapping[int, int]) -> dict[int, Page]:
    """As they are found: those with the most of one product first, of equals the lower number first."""
    pages = {number: changed((), changes) for number, changes in by_page(sold).items()}
    return dict(sorted(pages.items(), key=lambda each: (-max(each[1]), each[0])))


def best_of(pages: Mapping[int, Page], changes: Mapping[int, int], limit: int, count: int) -> list[tuple[int, int]]:
    """From so many pages at first, as `storage.top_sellers` reads them."""
    while True:
        leading = dict(list(pages.items())[:count])
        standings = Standings(Leading(leading, are_all=len(leading) < count), changes, limit)
        missing = standings.missing()
        assert not missing & leading.keys()
        standings.add({number: pages[number] for number in missing if number in pages})
        if standings.are_final():
            return standings.best
        count *= 4


def summed(sold: Mapping[int, int], changes: Mapping[int, int]) -> dict[int, int]:
    return {product: sold.get(product, 0) + changes.get(product, 0) for product in sold.keys() | changes.keys()}


A, B, C, D = 1, PAGE_PRODUCTS, 2 * PAGE_PRODUCTS, 3 * PAGE_PRODUCTS + 5
STANDINGS: list[tuple[str, dict[int, int], dict[int, int], int, int]] = [
    ("nothing was sold", {}, {}, 5, 1),
    ("all of it has left", {A: 2, B: 1}, {A: -2, B: -1}, 5, 1),
    ("nothing is counted yet", {}, {A: 1, D: 3}, 1, 1),
    ("a little is sold of what is on no page", {A: 5, B: 4}, {D: 1}, 1, 1),
    ("a little is sold of the first page's second", {A: 5, A + 1: 4}, {A + 1: 1}, 1, 1),
    ("what led has left", {A: 9, B: 8, C: 7, D: 6}, {A: -9, B: -8, C: -7}, 1, 1),
    ("what is far behind has sold the most since", {A: 9, B: 8, C: 7, D: 1}, {D: 9}, 1, 1),
    ("one behind is level, with a lower number", {B: 9, A: 1}, {A: 8}, 1, 1),
    ("one behind is level, with a higher number", {A: 9, B: 1}, {B: 8}, 1, 1),
    ("all are level", {A: 1, B: 1, C: 1, D: 1}, {}, 3, 1),
    ("the last of the first page is level with the pages behind", {A: 5, A + 1: 4, B: 4, C: 4}, {A: -2}, 1, 1),
    ("fewer than wanted, all on the first page", {A: 5, A + 1: 4}, {}, 100, 1),
]


@pytest.mark.parametrize(
    ("sold", "changes", "limit", "count"), [each[1:] for each in STANDINGS], ids=[each[0] for each in STANDINGS]
)
def test_the_best_of_a_few_pages_are_the_best_of_all(
    sold: dict[int, int], changes: dict[int, int], limit: int, count: int
) -> None:
    assert best_of(pages_of(sold), changes, limit, count) == rank(summed(sold, changes), limit)


some_product = st.builds(
    lambda page, place: page * PAGE_PRODUCTS + place, st.integers(0, 12), st.sampled_from([0, 1, 2, 3, 64, LAST])
)
few = st.dictionaries(some_product, st.integers(1, 4), max_size=6)
many = st.dictionaries(some_product, st.integers(1, 40), min_size=10, max_size=70)
level = st.dictionaries(some_product, st.just(3), min_size=5, max_size=70)


@st.composite
def sold_and_changes(draw: st.DrawFn) -> tuple[dict[int, int], dict[int, int]]:
    sold = draw(few | many | level)
    change = draw(st.sampled_from([(0, 3), (-3, 0), (-3, 3), (-40, 40), (1, 1), (-1, -1)]))
    wanted = draw(st.dictionaries(some_product, st.integers(*change), max_size=draw(st.sampled_from([0, 3, 70]))))
    return sold, {product: max(units, -sold.get(product, 0)) for product, units in wanted.items()}


@pytest.mark.long
@settings(max_examples=600)
@given(sold_and_changes(), st.integers(1, 8) | st.integers(1, 100), st.integers(1, 8))
def test_whatever_was_sold_and_has_changed_since_the_best_are_found(
    both: tuple[dict[int, int], dict[int, int]], limit: int, count: int
) -> None:
    sold, changes = both
    assert best_of(pages_of(sold), changes, limit, count) == rank(summed(sold, changes), limit)
