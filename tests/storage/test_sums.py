"""Sums in SQL are those of Python, up to their bound or beyond 2^64, on either database."""

from __future__ import annotations

import pytest

from jangteo.core.limits import LARGEST
from jangteo.storage.sums import HALF, bounded_sum, exact_sum, halves
from tests.storage.shops import Shop

NUMBERS = [
    [],
    [0],
    [1, 2, 3],
    [LARGEST - 1, 1],
    [LARGEST, 1],
    [LARGEST, 1, 1, 1],
    [1, 1, LARGEST],
    [LARGEST] * 3,
    [2**62] * 9,
]
BOUNDED, HALVES, EXACT = bounded_sum("units", LARGEST), halves("units"), exact_sum("units")


def added_up(shop: Shop, expressions: str, numbers: list[int]) -> tuple[int, ...]:
    rows = "".join(f" UNION ALL SELECT CAST({number} AS BIGINT)" for number in numbers)
    return shop.rows(f"SELECT {expressions} FROM (SELECT 0 AS units WHERE 1 = 0{rows}) AS numbers")[0]


@pytest.mark.parametrize("numbers", NUMBERS)
def test_a_bounded_sum_stays_at_its_bound(kept: Shop, numbers: list[int]) -> None:
    assert added_up(kept, BOUNDED, numbers) == (min(sum(numbers), LARGEST) if numbers else None,)


@pytest.mark.parametrize(
    "numbers", [*NUMBERS[1:], [-1], [-(2**63)] * 9, [2**63 - 1, -(2**63), 5], [LARGEST, -LARGEST] * 3]
)
def test_two_halves_make_the_exact_sum(kept: Shop, numbers: list[int]) -> None:
    high, low = added_up(kept, HALVES, numbers)
    assert high * HALF + low == sum(numbers)


@pytest.mark.parametrize("numbers", [[1], [-3, 2], [2**63 - 1, 7, -(2**63)], [2**62] * 9 + [-(2**62)] * 9 + [5]])
def test_an_exact_sum_within_62_bits_is_right_whatever_was_added(kept: Shop, numbers: list[int]) -> None:
    assert added_up(kept, EXACT, numbers) == (sum(numbers),)


@pytest.mark.parametrize("numbers", [[2**62] * 9, [-(2**63)] * 9, [2**63 - 1] * 2])
def test_an_exact_sum_beyond_equals_no_small_number(kept: Shop, numbers: list[int]) -> None:
    (found,) = added_up(kept, EXACT, numbers)
    assert abs(found) >= 2**62
