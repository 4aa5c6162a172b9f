from __future__ import annotations

from datetime import timedelta

import pytest

from jangteo.core.best_sellers import MAX_BEST, MAX_DAYS, rank, window_start
from tests.core.books import DAY, NOW

SIX = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6}
RANKED = [
    ({}, []),
    ({3: 1}, [(3, 1)]),
    ({3: 5, 2: 5, 9: 7}, [(9, 7), (2, 5), (3, 5)]),
    ({3: 0, 2: 1}, [(2, 1)]),
    (SIX, [(6, 6), (5, 5), (4, 4), (3, 3), (2, 2)]),
]


@pytest.mark.parametrize(("sold", "best"), RANKED)
def test_best_first_of_equals_the_lower_id_and_five_at_most(sold: dict[int, int], best: list[tuple[int, int]]) -> None:
    assert rank(sold) == best


@pytest.mark.parametrize(
    ("limit", "best"), [(1, [6]), (2, [6, 5]), (6, [6, 5, 4, 3, 2, 1]), (MAX_BEST, [6, 5, 4, 3, 2, 1])]
)
def test_as_many_as_are_wanted(limit: int, best: list[int]) -> None:
    assert [product for product, _ in rank(SIX, limit)] == best


def test_of_more_that_are_level_than_are_wanted_the_lower_ids() -> None:
    assert rank(dict.fromkeys(range(200, 0, -1), 3), MAX_BEST) == [(product, 3) for product in range(1, 101)]


def test_the_window_is_seventy_two_hours() -> None:
    assert window_start(NOW) == NOW - 3 * DAY


@pytest.mark.parametrize(("days", "hours"), [(1, 24), (3, 72), (7, 168), (MAX_DAYS, 720)])
def test_a_day_is_twenty_four_hours(days: int, hours: int) -> None:
    assert window_start(NOW, days) == NOW - timedelta(hours=hours)
