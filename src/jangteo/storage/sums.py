"""Sums in SQL that can't overflow, on either database: bounded, or exact.

SQLite's `SUM` of integers fails at 2^63, and beyond it PostgreSQL's is no BIGINT. A product of no price can be bought
and put in again until its units are there.
"""

from typing import Final

HALF: Final = 2**32
_HALF_BITS: Final = 32


def bounded_sum(numbers: str, largest: int) -> str:
    """SQL for the sum of numbers that are not negative, or `largest` where it is more; NULL without rows.

    It is added up in double precision: exact below 2^53, and what has reached 2^53 never falls below it again.
    `largest` is 2^53 at most. `numbers` is an expression, of double precision if it multiplies.
    """
    total = f"SUM(CAST({numbers} AS DOUBLE PRECISION))"
    return f"CASE WHEN {total} > {largest} THEN {largest} ELSE CAST({total} AS BIGINT) END"


def halves(numbers: str) -> str:
    """SQL for two columns `high` and `low`: the exact sum is `high * HALF + low`. NULL without rows.

    Either fits a BIGINT for up to 2^31 rows.
    """
    return f"CAST(SUM({_high(numbers)}) AS BIGINT), CAST(SUM({_low(numbers)}) AS BIGINT)"


def exact_sum(numbers: str) -> str:
    """SQL for the exact sum; NULL without rows.

    SQLite has no integers beyond 2^63: there it is a REAL, which equals no number below 2^62.
    """
    return f"(SUM({_high(numbers)}) * {HALF} + SUM({_low(numbers)}))"


def _high(numbers: str) -> str:
    return f"({numbers}) >> {_HALF_BITS}"


def _low(numbers: str) -> str:
    return f"({numbers}) & {HALF - 1}"
