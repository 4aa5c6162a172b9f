"""Pauses before a platform is asked again: longer each time up to a bound, by chance within half, never too short."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jangteo.delivery.backoff import FIRST_DELAY_S, MAX_DELAY_S, Backoff

TIMES = 12
"""More than it takes to come to the longest."""


def test_each_pause_is_between_a_half_and_the_whole_of_what_it_has_grown_to() -> None:
    backoff = Backoff()
    grown_to = [min(FIRST_DELAY_S * 2**time, MAX_DELAY_S) for time in range(TIMES)]
    assert grown_to[-1] == MAX_DELAY_S
    for whole_s in grown_to:
        assert whole_s / 2 <= backoff.next_delay_s(None) <= whole_s


def test_those_who_failed_together_do_not_come_together() -> None:
    pauses = {Backoff().next_delay_s(None) for _ in range(100)}
    assert len(pauses) > 50
    assert max(pauses) - min(pauses) > FIRST_DELAY_S / 8


def test_it_begins_anew_when_it_worked() -> None:
    backoff = Backoff()
    for _ in range(TIMES):
        backoff.next_delay_s(None)
    backoff.reset()
    assert backoff.next_delay_s(None) <= FIRST_DELAY_S


@given(st.lists(st.none() | st.floats(0, 100), min_size=1, max_size=2 * TIMES))
def test_it_is_never_shorter_than_asked_for_nor_longer_than_it_must_be(asked_for: list[float | None]) -> None:
    backoff = Backoff()
    for asked_for_s in asked_for:
        delay_s = backoff.next_delay_s(asked_for_s)
        assert FIRST_DELAY_S / 2 <= delay_s <= max(MAX_DELAY_S, asked_for_s or 0)
        assert delay_s >= (asked_for_s or 0)


def test_what_was_asked_for_does_not_make_the_next_pause_longer() -> None:
    backoff = Backoff()
    assert backoff.next_delay_s(60) == 60
    assert backoff.next_delay_s(None) <= 2 * FIRST_DELAY_S
