"""Buckets as lists of numbers, and their ids."""

from __future__ import annotations

import pytest

from jangteo.storage.best_sellers import buckets
from jangteo.storage.best_sellers.buckets import (
    PRODUCTS_PER_BUCKET,
    apply_changes,
    bounded_max,
    bucket_of,
    group_by_bucket,
    units_by_product,
    units_of,
)

LAST = PRODUCTS_PER_BUCKET - 1

CHANGED = [
    ([], [], []),
    ([], [(0, 2)], [2]),
    ([], [(PRODUCTS_PER_BUCKET, 2)], [2]),
    ([], [(3, 2)], [0, 0, 0, 2]),
    ([1, 2], [(0, 4), (1, -1)], [5, 1]),
    ([1, 2], [(1, -2)], [1]),
    ([0, 0, 3], [(2, -3)], []),
    ([1, 0, 3], [(2, -3)], [1]),
    ([1], [(LAST, 7)], [1, *[0] * (LAST - 1), 7]),
    # While a window backfills, more may have been cancelled than its buckets contain.
    ([], [(1, -2)], [0, -2]),
]


@pytest.mark.parametrize(("before", "changes", "after"), CHANGED)
def test_a_bucket_is_as_long_as_its_last_product(
    before: list[int], changes: list[tuple[int, int]], after: list[int]
) -> None:
    copied = list(before)
    assert apply_changes(before, changes) == after
    assert before == copied


GROUPED = [
    ({}, {}),
    ({1: 0}, {}),
    ({1: 2, LAST: -1}, {0: [(1, 2), (LAST, -1)]}),
    ({LAST: 1, LAST + 1: 2, 2**53 - 1: 3}, {0: [(LAST, 1)], 1: [(LAST + 1, 2)], 2**46 - 1: [(2**53 - 1, 3)]}),
]


@pytest.mark.parametrize(("changes", "groups"), GROUPED)
def test_changes_are_grouped_by_the_buckets_of_their_products(
    changes: dict[int, int], groups: dict[int, list[tuple[int, int]]]
) -> None:
    assert group_by_bucket(changes) == groups


UNITS_OF = [
    ([], 5, 0),
    ([1, 2], 1, 2),
    ([1, 2], 2, 0),
    ([1, 2], PRODUCTS_PER_BUCKET + 1, 2),
    ([1, 2], PRODUCTS_PER_BUCKET + 2, 0),
]


@pytest.mark.parametrize(("units", "product", "expected"), UNITS_OF)
def test_products_behind_the_end_of_a_bucket_have_no_units(units: list[int], product: int, expected: int) -> None:
    assert units_of(units, product) == expected


def test_the_products_of_a_bucket_are_found_in_it() -> None:
    units = [5, 0, 7]
    assert list(units_by_product(3, units)) == [(384, 5), (385, 0), (386, 7)]
    assert [(bucket_of(product), units_of(units, product)) for product, _ in units_by_product(3, units)] == [
        (3, 5), (3, 0), (3, 7)
    ]  # fmt: skip


@pytest.mark.parametrize("number", [0, 1, 5, 2**46 - 1])
def test_ids_have_the_number_and_sort_lower_numbers_last(number: int) -> None:
    bucket_id = buckets._id(2, number)
    assert (buckets._number(bucket_id), bucket_id >> 46) == (number, 2)
    assert number == 0 or buckets._id(2, number - 1) > bucket_id


@pytest.mark.parametrize(
    ("units", "largest"), [([], 0), ([0, 2, 1], 2), ([0, -2], 0), ([1, 2**53 - 1], 2**53 - 1), ([2**70], 2**53 - 1)]
)
def test_the_largest_units_of_a_bucket_are_stored_within_bounds(units: list[int], largest: int) -> None:
    assert bounded_max(units) == largest
