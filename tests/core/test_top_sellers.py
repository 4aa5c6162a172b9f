from __future__ import annotations

import pytest

from jangteo.core.top_sellers import rank, window_start
from tests.core.books import DAY, NOW

RANKED = [
    ({}, []),
    ({3: 1}, [(3, 1)]),
    ({3: 5, 2: 5, 9: 7}, [(9, 7), (2, 5), (3, 5)]),
    ({1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6}, [(6, 6), (5, 5), (4, 4), (3, 3), (2, 2)]),
]


@pytest.mark.parametrize(("sold", "best"), RANKED)
def test_best_first_of_equals_the_lower_id_and_five_at_most(sold: dict[int, int], best: list[tuple[int, int]]) -> None:
    assert rank(sold) == best


def test_the_window_is_seventy_two_hours() -> None:
    assert window_start(NOW) == NOW - 3 * DAY
