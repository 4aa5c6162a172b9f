"""The figures of one run of a load, whichever generator ran it."""

import math
from collections.abc import Mapping, Sequence
from statistics import quantiles
from typing import Final, NamedTuple

_NOT_MEASURED: Final[Mapping[str, float]] = {}


class CannotMeasure(Exception):
    """The run gave no figures; the message says why."""


class Load(NamedTuple):
    """The figures of one run."""

    requests: int
    requests_per_s: float
    p50_ms: float
    p99_ms: float
    failed: int
    """Responses other than 2xx and 3xx, failed calls within a bulk request, and requests without a response."""
    cpu_us: Mapping[str, float] = _NOT_MEASURED
    """Processor time of one request in the processes of each role, in microseconds; empty when not measured."""
    fairness: float = math.nan
    """Jain's index over the clients' answers; NaN when they were not counted by client."""


def load_of(times_ms: Sequence[float], seconds: float) -> Load:
    """Summarize a run without failures, given the time of each request. Raises CannotMeasure for fewer than 100."""
    if len(times_ms) < 100:
        raise CannotMeasure(f"only {len(times_ms)} requests were answered in {seconds:.1f} s")
    hundredths = quantiles(times_ms, n=100)
    return Load(len(times_ms), len(times_ms) / seconds, hundredths[49], hundredths[98], 0)


def fairness_of(counts: Sequence[int]) -> float:
    """Jain's index of the clients' numbers of answers: 1 when all are equal, 1/n when one of n has them all."""
    squares = sum(count * count for count in counts)
    return sum(counts) ** 2 / (len(counts) * squares) if squares else math.nan
