"""Decides whether one state differs from the other beyond the noise, from the ratios of the rounds."""

from collections.abc import Sequence
from math import comb
from statistics import median
from typing import Final

from msgspec import Struct

from bench.contenders.rounds import Contender

_CONFIDENCE: Final = 0.95


class Ratio(Struct, frozen=True):
    """The figure of this tree as a multiple of the base's: the median of the rounds, and where the true median lies.

    `low` and `high` are order statistics of the rounds, so they suppose nothing about how the noise is distributed.
    """

    middle: float
    low: float
    high: float
    certain: bool
    """Whether there are rounds enough for an interval of 95%."""

    @property
    def differs(self) -> bool:
        """Whether the interval leaves 1 out."""
        return self.certain and not self.low <= 1 <= self.high


class Row(Struct, frozen=True):
    """One load, in both states."""

    load: str
    base_per_s: float
    ours_per_s: float
    speed: Ratio
    p99: Ratio
    failed: int

    def verdict(self) -> str:
        """What differs, in words; empty when nothing does."""
        faster = _words(self.speed, "faster", "slower", upwards=True)
        shorter = _words(self.p99, "shorter p99", "longer p99", upwards=False)
        return ", ".join(each for each in (faster, shorter, "REQUESTS FAILED" if self.failed else "") if each)


def row(load: str, base: Contender, ours: Contender) -> Row:
    """Compare the rounds of one load."""
    pairs = list(zip(ours.rounds, base.rounds, strict=True))
    speed = ratio([each.requests_per_s / other.requests_per_s for each, other in pairs])
    p99 = ratio([each.p99_ms / other.p99_ms for each, other in pairs])
    return Row(load, base.requests_per_s, ours.requests_per_s, speed, p99, base.failed + ours.failed)


def ratio(ratios: Sequence[float]) -> Ratio:
    """The median, with the narrowest pair of order statistics that holds the true median in 95 of 100 runs."""
    ordered = sorted(ratios)
    rank = rank_of_interval(len(ordered))
    left_out = max(rank - 1, 0)
    return Ratio(median(ordered), ordered[left_out], ordered[-1 - left_out], certain=rank > 0)


def rank_of_interval(rounds: int) -> int:
    """The rank k so that the k-th smallest and k-th largest of so many rounds hold the median; 0 if there is none."""
    k, tail = 0, 0.0
    while k < rounds // 2:
        # The median is below the (k+1)-th smallest if at most k rounds fell below it, each with probability 1/2.
        tail += comb(rounds, k) / 2**rounds
        if 2 * tail > 1 - _CONFIDENCE:
            break
        k += 1
    return k


def _words(found: Ratio, more: str, less: str, *, upwards: bool) -> str:
    if not found.differs:
        return ""
    return f"{abs(found.middle - 1):.0%} {more if (found.middle > 1) is upwards else less}"
