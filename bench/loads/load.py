"""What came of one run of a load, whoever made it."""

from collections.abc import Sequence
from statistics import quantiles
from typing import NamedTuple


class CannotMeasure(Exception):
    """There is nothing to measure: the message says why."""


class Load(NamedTuple):
    """What came of one run."""

    requests: int
    requests_per_s: float
    p50_ms: float
    p99_ms: float
    failed: int
    """Answers that were not a success, and requests that got none."""


def load_of(times_ms: Sequence[float], seconds: float) -> Load:
    """A run in which every request was timed by itself, and none failed. Raises CannotMeasure where there were none."""
    if len(times_ms) < 100:
        raise CannotMeasure(f"only {len(times_ms)} requests were answered in {seconds:.1f} s")
    hundredths = quantiles(times_ms, n=100)
    return Load(len(times_ms), len(times_ms) / seconds, hundredths[49], hundredths[98], 0)
