"""The figures of one run of a load, whichever generator ran it."""

from collections.abc import Sequence
from statistics import quantiles
from typing import NamedTuple


class CannotMeasure(Exception):
    """The run gave no figures; the message says why."""


class Load(NamedTuple):
    """The figures of one run."""

    requests: int
    requests_per_s: float
    p50_ms: float
    p99_ms: float
    failed: int
    """Responses other than 2xx and 3xx, and requests without a response."""


def load_of(times_ms: Sequence[float], seconds: float) -> Load:
    """Summarize a run without failures, given the time of each request. Raises CannotMeasure for fewer than 100."""
    if len(times_ms) < 100:
        raise CannotMeasure(f"only {len(times_ms)} requests were answered in {seconds:.1f} s")
    hundredths = quantiles(times_ms, n=100)
    return Load(len(times_ms), len(times_ms) / seconds, hundredths[49], hundredths[98], 0)
