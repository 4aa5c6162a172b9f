"""A warm-up isn't measured."""

from __future__ import annotations

import pytest

from bench.contenders.rounds import Comparison, Contender, alternate
from bench.loads.load import CannotMeasure, Load


def test_a_warm_up_without_an_answer_does_not_end_the_bench() -> None:
    contender = Contender("slow to start", 1, _Once(Load(1, 1, 1, 1, 0)))
    alternate(Comparison("", [contender]), rounds=1, seconds=1, show_progress=lambda _: None)
    assert len(contender.rounds) == 1


def test_a_round_without_an_answer_ends_it() -> None:
    contender = Contender("dead", 1, _Once(Load(1, 1, 1, 1, 0)), warms_up=False)
    with pytest.raises(CannotMeasure):
        alternate(Comparison("", [contender]), rounds=1, seconds=1, show_progress=lambda _: None)


class _Once:
    """Can't be measured the first time, and gives the same figures from then on."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._runs = 0

    def __call__(self, _: int) -> Load:
        self._runs += 1
        if self._runs == 1:
            raise CannotMeasure
        return self._load
