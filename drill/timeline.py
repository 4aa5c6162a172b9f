"""When the customers had no answers. Pure functions of times in seconds since 1970."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final

from msgspec import Struct

LATE_S: Final = 15
"""Answers come within five seconds of a new primary; a busy machine gets more."""


class Fault(Struct):
    """A fault that was made, and when a new primary could be written after it."""

    name: str
    began: float
    new_primary_at: float | None = None


class Span(Struct, frozen=True):
    """A fault and the time that belongs to it: until the next one begins."""

    name: str
    began: float
    ended: float
    new_primary_at: float | None = None

    def covers(self, at: float) -> bool:
        """Whether this time belongs to the fault."""
        return self.began <= at < self.ended


def spans(faults: Sequence[Fault], ended: float) -> list[Span]:
    """Return the faults with their times; the last one's is until `ended`."""
    ends = [*(fault.began for fault in faults[1:]), ended]
    return [Span(fault.name, fault.began, end, fault.new_primary_at) for fault, end in zip(faults, ends, strict=True)]


def longest_silence_s(answered_at: Iterable[float], span: Span) -> float:
    """Return the longest time within the fault's without an acknowledged answer, in seconds."""
    within = sorted(at for at in answered_at if span.covers(at))
    return max(later - earlier for earlier, later in pairwise([span.began, *within, span.ended]))


def first_answer_s(answered_at: Iterable[float], span: Span) -> float | None:
    """Return the seconds from the new primary to the first acknowledged answer; None if there is none of the two."""
    new_primary_at = span.new_primary_at
    if new_primary_at is None:
        return None
    return min((at - new_primary_at for at in answered_at if new_primary_at <= at < span.ended), default=None)


def late_answers(answered_at: Sequence[float], made: Iterable[Span]) -> list[str]:
    """Return a line for each fault after which a new primary was there, and answers came late or not at all."""
    found = []
    for span in made:
        seconds = first_answer_s(answered_at, span)
        if span.new_primary_at is not None and (seconds is None or seconds > LATE_S):
            found.append(f"{span.name}: no answer within {LATE_S} s of the new primary")
    return found
