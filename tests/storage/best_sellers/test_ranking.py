"""The best sellers from a few buckets are those of all buckets, whatever was sold, and has come and gone since."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jangteo.core.best_sellers import rank
from jangteo.core.limits import LARGEST
from jangteo.storage.best_sellers.buckets import (
    PRODUCTS_PER_BUCKET,
    Units,
    apply_changes,
    bounded_max,
    group_by_bucket,
)
from jangteo.storage.best_sellers.ranking import Leading, Ranking

LAST = PRODUCTS_PER_BUCKET - 1


def buckets_of(sold: Mapping[int, int]) -> dict[int, Units]:
    """As they are read: those with the largest number of units first, of ties the lower number first."""
    buckets = {number: apply_changes((), changes) for number, changes in group_by_bucket(sold).items()}
    return dict(sorted(buckets.items(), key=lambda each: (-bounded_max(each[1]), each[0])))


def best_of(buckets: Mapping[int, Units], changes: Mapping[int, int], limit: int, count: int) -> list[tuple[int, int]]:
    """From `count` buckets at first, as `storage.best_sellers.query` reads them."""
    while True:
        leading = dict(list(buckets.items())[:count])
        ranking = Ranking(Leading(leading, are_all=len(leading) < count), changes, limit)
        missing = ranking.missing()
        assert not missing & leading.keys()
        ranking.add({number: buckets[number] for number in missing if number in buckets})
        if ranking.is_final():
            return ranking.best
        count *= 4


def summed(sold: Mapping[int, int], changes: Mapping[int, int]) -> dict[int, int]:
    return {product: sold.get(product, 0) + changes.get(product, 0) for product in sold.keys() | changes.keys()}


A, B, C, D = 1, PRODUCTS_PER_BUCKET, 2 * PRODUCTS_PER_BUCKET, 3 * PRODUCTS_PER_BUCKET + 5
RANKINGS: list[tuple[str, dict[int, int], dict[int, int], int, int]] = [
    ("nothing was sold", {}, {}, 5, 1),
    ("all has left", {A: 2, B: 1}, {A: -2, B: -1}, 5, 1),
    ("nothing is refreshed yet", {}, {A: 1, D: 3}, 1, 1),
    ("a little is sold of a product in no bucket", {A: 5, B: 4}, {D: 1}, 1, 1),
    ("a little is sold of the first bucket's second", {A: 5, A + 1: 4}, {A + 1: 1}, 1, 1),
    ("the leaders have left", {A: 9, B: 8, C: 7, D: 6}, {A: -9, B: -8, C: -7}, 1, 1),
    ("one far behind has sold the most since", {A: 9, B: 8, C: 7, D: 1}, {D: 9}, 1, 1),
    ("one behind ties, with a lower id", {B: 9, A: 1}, {A: 8}, 1, 1),
    ("one behind ties, with a higher id", {A: 9, B: 1}, {B: 8}, 1, 1),
    ("all tie", {A: 1, B: 1, C: 1, D: 1}, {}, 3, 1),
    ("the last of the first bucket ties with the buckets behind", {A: 5, A + 1: 4, B: 4, C: 4}, {A: -2}, 1, 1),
    ("beyond 2^53 all tie", {D: LARGEST, C: 3 * LARGEST, B: 2 * LARGEST, A: 1}, {A: LARGEST, C: -LARGEST}, 3, 1),
    ("beyond 2^53 the lower id leads, sold less", {A: LARGEST - 1, A + 1: 9 * LARGEST, B: LARGEST}, {A: 1}, 1, 1),
    ("one falls below 2^53", {A: LARGEST + 1, B: LARGEST, C: LARGEST - 1}, {A: -2, B: -1}, 2, 1),
    ("fewer than the limit, all in the first bucket", {A: 5, A + 1: 4}, {}, 100, 1),
]


@pytest.mark.parametrize(
    ("sold", "changes", "limit", "count"), [each[1:] for each in RANKINGS], ids=[each[0] for each in RANKINGS]
)
def test_the_best_of_a_few_buckets_are_the_best_of_all(
    sold: dict[int, int], changes: dict[int, int], limit: int, count: int
) -> None:
    assert best_of(buckets_of(sold), changes, limit, count) == rank(summed(sold, changes), limit)


some_product = st.builds(
    lambda number, index: number * PRODUCTS_PER_BUCKET + index,
    st.integers(0, 12),
    st.sampled_from([0, 1, 2, 3, 64, LAST]),
)
few = st.dictionaries(some_product, st.integers(1, 4), max_size=6)
many = st.dictionaries(some_product, st.integers(1, 40), min_size=10, max_size=70)
ties = st.dictionaries(some_product, st.just(3), min_size=5, max_size=70)
largest = st.dictionaries(some_product, st.integers(LARGEST - 3, LARGEST + 3) | st.just(2**66), min_size=5, max_size=70)


@st.composite
def sold_and_changes(draw: st.DrawFn) -> tuple[dict[int, int], dict[int, int]]:
    sold = draw(few | many | ties | largest)
    change = draw(st.sampled_from([(0, 3), (-3, 0), (-3, 3), (-40, 40), (1, 1), (-1, -1), (-(2**66), 2**66)]))
    wanted = draw(st.dictionaries(some_product, st.integers(*change), max_size=draw(st.sampled_from([0, 3, 70]))))
    return sold, {product: max(units, -sold.get(product, 0)) for product, units in wanted.items()}


@settings(max_examples=600)
@given(sold_and_changes(), st.integers(1, 8) | st.integers(1, 100), st.integers(1, 8))
def test_the_best_are_found_whatever_was_sold_and_has_changed(
    both: tuple[dict[int, int], dict[int, int]], limit: int, count: int
) -> None:
    sold, changes = both
    assert best_of(buckets_of(sold), changes, limit, count) == rank(summed(sold, changes), limit)
