"""Contenders that are measured in turns: the machine's own speed changes by the minute, and is the same for all of them
within one round.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from bench.loads.load import Load

WARM_UP_S: Final = 1


@dataclass
class Contender:
    """Something that can be put under load for some seconds; and what came of each round."""

    name: str
    connections: int
    run: Callable[[int], Load]
    warms_up: bool = True
    rounds: list[Load] = field(default_factory=list)

    @property
    def requests_per_s(self) -> float:
        """Of the median round."""
        return median(load.requests_per_s for load in self.rounds)

    @property
    def p50_ms(self) -> float:
        """Of the median round."""
        return median(load.p50_ms for load in self.rounds)

    @property
    def p99_ms(self) -> float:
        """Of the median round."""
        return median(load.p99_ms for load in self.rounds)

    @property
    def failed(self) -> int:
        """Of all rounds."""
        return sum(load.failed for load in self.rounds)

    def ratio_to(self, other: "Contender") -> float:
        """How many times the other's requests a second, of the median round."""
        pairs = zip(self.rounds, other.rounds, strict=True)
        return median(ours.requests_per_s / theirs.requests_per_s for ours, theirs in pairs)

    def p99_ratio_to(self, other: "Contender") -> float:
        """How many times the other's p99, of the median round."""
        return median(ours.p99_ms / theirs.p99_ms for ours, theirs in zip(self.rounds, other.rounds, strict=True))

    def p99_to_p50(self) -> float:
        """How much slower than the median request the slowest hundredth is, of the median round."""
        return median(load.p99_ms / load.p50_ms for load in self.rounds)


@dataclass
class Comparison:
    """Contenders measured side by side. The first is what the others are held against in the table."""

    title: str
    contenders: Sequence[Contender]

    def named(self, name: str) -> Contender:
        """The contender of this name."""
        return next(each for each in self.contenders if each.name == name)


def alternate(comparison: Comparison, rounds: int, seconds: int, tell: Callable[[str], None]) -> Comparison:
    """Load each contender for so many seconds, all of them in every round, after a warm-up that counts for nothing."""
    for contender in comparison.contenders:
        if contender.warms_up:
            tell(f"{comparison.title}: warming up {contender.name}")
            contender.run(WARM_UP_S)
    for number in range(1, rounds + 1):
        for contender in comparison.contenders:
            tell(f"{comparison.title}: {contender.name}, round {number} of {rounds}")
            contender.rounds.append(contender.run(seconds))
    return comparison
