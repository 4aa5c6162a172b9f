"""The best sellers: which window counts, and who comes first."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

WINDOW: Final = timedelta(hours=72)
"""The last three days, to the moment of the request: not calendar days."""

BEST: Final = 5
"""How many there are at most."""


def window_start(now: datetime) -> datetime:
    """An order counts from the moment it was placed until its 72 hours are over: strictly later than this."""
    return now - WINDOW


def rank(sold: Mapping[int, int]) -> list[tuple[int, int]]:
    """The best sellers as (product id, units sold), best first; of equals the lower product id first."""
    best_first = sorted(sold.items(), key=lambda entry: (-entry[1], entry[0]))
    return best_first[:BEST]
