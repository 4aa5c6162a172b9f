"""The best sellers: which window counts, and who comes first."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from heapq import nsmallest
from typing import Final

DEFAULT_DAYS: Final = 3
MAX_DAYS: Final = 30
DEFAULT_BEST: Final = 5
MAX_BEST: Final = 100


def window_start(now: datetime, days: int = DEFAULT_DAYS) -> datetime:
    """An order counts from the moment it was placed until so many times 24 hours are over: strictly later than this."""
    return now - timedelta(days=days)


def rank(sold: Mapping[int, int], limit: int = DEFAULT_BEST) -> list[tuple[int, int]]:
    """The best sellers as (product id, units sold), best first; of equals the lower product id first."""
    best_first = nsmallest(limit, [(-units, product) for product, units in sold.items() if units > 0])
    return [(product, -minus_units) for minus_units, product in best_first]
