"""A commit differs from the tree only beyond the noise of the rounds."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

import pytest

from bench.compare import states
from bench.compare.verdicts import rank_of_interval, ratio, row
from bench.contenders.rounds import Contender
from bench.loads.load import CannotMeasure, Load


@pytest.mark.parametrize(("rounds", "rank"), [(1, 0), (5, 0), (6, 1), (8, 1), (9, 2), (11, 2), (12, 3), (20, 6)])
def test_the_interval_holds_the_median_in_95_of_100_runs(rounds: int, rank: int) -> None:
    # The ranks are those of the sign test's tables.
    assert rank_of_interval(rounds) == rank


def test_rounds_on_both_sides_of_one_differ_by_nothing() -> None:
    assert not ratio([0.9, 1.1, 1.2, 1.1, 1.2, 1.1]).differs


def test_rounds_on_one_side_of_one_differ() -> None:
    found = ratio([1.1, 1.2, 1.05, 1.1, 1.2, 1.1])
    assert found.differs
    assert (found.low, found.high) == (1.05, 1.2)


def test_one_outlier_of_nine_rounds_hides_no_difference() -> None:
    assert ratio([1.1] * 8 + [0.2]).differs


def test_too_few_rounds_say_nothing() -> None:
    assert not ratio([1.5] * 5).differs


def loaded(speeds: Sequence[float], p99_ms: float, failed: int = 0) -> Contender:
    return Contender(
        "x", 64, lambda _: Load(0, 0, 0, 0, 0), rounds=[Load(9, each, 1, p99_ms, failed) for each in speeds]
    )


def test_a_verdict_names_what_is_faster_and_what_takes_longer() -> None:
    found = row("orders", loaded([100] * 6, 2), loaded([120] * 6, 3))
    assert found.verdict() == "20% faster, 50% longer p99"


def test_a_verdict_names_what_is_slower_shorter_and_failed() -> None:
    found = row("orders", loaded([100] * 6, 2), loaded([80] * 6, 1, failed=1))
    assert found.verdict() == "20% slower, 50% shorter p99, REQUESTS FAILED"


def test_equal_states_have_no_verdict() -> None:
    assert not row("orders", loaded([100] * 6, 2), loaded([100] * 6, 2)).verdict()


def test_a_commit_that_does_not_exist_is_named() -> None:
    with pytest.raises(CannotMeasure, match="there is no commit nowhere"), states.both("nowhere"):
        pass


@pytest.mark.long
def test_the_worktree_of_the_base_is_removed() -> None:
    with states.both("HEAD") as (base, _):
        assert (base.sources / "jangteo" / "__init__.py").exists()
    assert not base.sources.exists()
    listed = subprocess.run(["git", "worktree", "list"], cwd=states.ROOT, capture_output=True, text=True, check=True)
    assert str(base.sources.parent) not in listed.stdout
