"""Measures contenders in alternating rounds.

A machine's own speed drifts by the minute; within one round it is the same for all contenders, so their ratios hold.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from bench.loads.load import CannotMeasure, Load

WARM_UP_S: Final = 1


@dataclass
class Contender:
    """Something that can be loaded for some seconds, and the figures of its rounds."""

    name: str
    connections: int
    run: Callable[[int], Load]
    warms_up: bool = True
    rounds: list[Load] = field(default_factory=list)

    @property
    def requests_per_s(self) -> float:
        """The median of the rounds."""
        return median(load.requests_per_s for load in self.rounds)

    @property
    def p50_ms(self) -> float:
        """The median of the rounds."""
        return median(load.p50_ms for load in self.rounds)

    @property
    def p99_ms(self) -> float:
        """The median of the rounds."""
        return median(load.p99_ms for load in self.rounds)

    @property
    def cpu_us(self) -> Mapping[str, float]:
        """Processor time of a request by role, in microseconds: the medians of the rounds. Empty when not measured."""
        return {role: median(load.cpu_us.get(role, 0) for load in self.rounds) for role in self.rounds[0].cpu_us}

    @property
    def fairness(self) -> float:
        """Jain's index over the clients: the median of the rounds. NaN when not measured."""
        return median(load.fairness for load in self.rounds)

    @property
    def failed(self) -> int:
        """The sum of all rounds."""
        return sum(load.failed for load in self.rounds)

    def ratio_to(self, other: "Contender") -> float:
        """Requests per second as a multiple of the other's: the median of the rounds' ratios."""
        pairs = zip(self.rounds, other.rounds, strict=True)
        return median(ours.requests_per_s / theirs.requests_per_s for ours, theirs in pairs)

    def p99_ratio_to(self, other: "Contender") -> float:
        """The p99 as a multiple of the other's: the median of the rounds' ratios."""
        return median(ours.p99_ms / theirs.p99_ms for ours, theirs in zip(self.rounds, other.rounds, strict=True))

    def p99_to_p50(self) -> float:
        """The p99 as a multiple of the p50: the median of the rounds' ratios."""
        return median(load.p99_ms / load.p50_ms for load in self.rounds)


@dataclass
class Comparison:
    """Contenders measured side by side. The first is the reference of the ratios in the table."""

    title: str
    contenders: Sequence[Contender]

    def contender(self, name: str) -> Contender:
        """The contender with this name. Raises StopIteration when there is none."""
        return next(each for each in self.contenders if each.name == name)


def alternate(comparison: Comparison, rounds: int, seconds: int, show_progress: Callable[[str], None]) -> Comparison:
    """Load each contender for `seconds` in every round, after a warm-up that is not counted."""
    for contender in comparison.contenders:
        if contender.warms_up:
            show_progress(f"{comparison.title}: warming up {contender.name}")
            # A busy machine may answer nothing in the first second; a server that never answers fails in its round.
            with suppress(CannotMeasure):
                contender.run(WARM_UP_S)
    for number in range(1, rounds + 1):
        for contender in comparison.contenders:
            show_progress(f"{comparison.title}: {contender.name}, round {number} of {rounds}")
            contender.rounds.append(contender.run(seconds))
    return comparison
