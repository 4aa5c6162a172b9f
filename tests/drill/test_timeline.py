"""What the drill reports about the time: when customers had no answers, and which fault that belongs to."""

from __future__ import annotations

import pytest

from drill.timeline import LATE_S, Fault, Span, first_answer_s, late_answers, longest_silence_s, spans

SPAN = Span("killed primary", began=100.0, ended=130.0, new_primary_at=115.0)


def test_a_fault_ends_where_the_next_one_begins() -> None:
    made = spans([Fault("one", 100.0, 105.0), Fault("two", 110.0)], ended=120.0)
    assert made == [Span("one", 100.0, 110.0, 105.0), Span("two", 110.0, 120.0, None)]
    assert [each.covers(110.0) for each in made] == [False, True]


@pytest.mark.parametrize(
    ("answered_at", "silence_s"),
    [
        pytest.param([99.0, 101.0, 121.0, 122.0, 129.0], 20.0, id="between-two-answers"),
        pytest.param([121.0, 101.0, 129.0, 122.0], 20.0, id="in-any-order"),
        pytest.param([99.0, 112.0, 120.0, 129.0], 12.0, id="from-the-fault-itself"),
        pytest.param([101.0, 105.0, 140.0], 25.0, id="until-the-end"),
        pytest.param([], 30.0, id="no-answer-at-all"),
    ],
)
def test_the_longest_silence_is_measured_within_the_fault(answered_at: list[float], silence_s: float) -> None:
    assert longest_silence_s(answered_at, SPAN) == silence_s


@pytest.mark.parametrize(
    ("answered_at", "seconds"),
    [
        pytest.param([101.0, 114.0, 119.0, 117.5], 2.5, id="the-first-after-the-new-primary"),
        pytest.param([101.0, 114.0], None, id="none"),
        pytest.param([101.0, 131.0], None, id="only-in-the-next-fault"),
    ],
)
def test_the_first_answer_is_counted_from_the_new_primary(answered_at: list[float], seconds: float | None) -> None:
    assert first_answer_s(answered_at, SPAN) == seconds


def test_without_a_new_primary_there_is_no_first_answer_of_it() -> None:
    assert first_answer_s([101.0], Span("killed standby", 100.0, 130.0)) is None


@pytest.mark.parametrize(
    ("answered_at", "late"),
    [
        pytest.param([101.0, 115.0 + LATE_S], 0, id="in-time"),
        pytest.param([101.0, 115.1 + LATE_S], 1, id="late"),
        pytest.param([101.0, 114.0], 1, id="never"),
    ],
)
def test_answers_are_late_when_a_new_primary_has_been_there_for_long(answered_at: list[float], late: int) -> None:
    made = [Span("killed primary", 100.0, 140.0, 115.0), Span("killed standby", 140.0, 150.0)]
    assert len(late_answers(answered_at, made)) == late
