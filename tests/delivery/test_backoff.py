"""Pauses before a platform is asked again: longer each time up to a bound, by chance within half, never too short."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jangteo.delivery.backoff import FIRST_PAUSE_S, LONGEST_PAUSE_S, Patience

TIMES = 12
"""More than it takes to come to the longest."""


def test_each_pause_is_between_a_half_and_the_whole_of_what_it_has_grown_to() -> None:
    patience = Patience()
    grown_to = [min(FIRST_PAUSE_S * 2**time, LONGEST_PAUSE_S) for time in range(TIMES)]
    assert grown_to[-1] == LONGEST_PAUSE_S
    for whole_s in grown_to:
        assert whole_s / 2 <= patience.next_pause_s(None) <= whole_s


def test_those_who_failed_together_do_not_come_together() -> None:
    pauses = {Patience().next_pause_s(None) for _ in range(100)}
    assert len(pauses) > 50
    assert max(pauses) - min(pauses) > FIRST_PAUSE_S / 8


def test_it_begins_anew_when_it_worked() -> None:
    patience = Patience()
    for _ in range(TIMES):
        patience.next_pause_s(None)
    patience.reset()
    assert patience.next_pause_s(None) <= FIRST_PAUSE_S


@given(st.lists(st.none() | st.floats(0, 100), min_size=1, max_size=2 * TIMES))
def test_it_is_never_shorter_than_asked_for_nor_longer_than_it_must_be(asked_for: list[float | None]) -> None:
    patience = Patience()
    for asked_for_s in asked_for:
        pause_s = patience.next_pause_s(asked_for_s)
        assert FIRST_PAUSE_S / 2 <= pause_s <= max(LONGEST_PAUSE_S, asked_for_s or 0)
        assert pause_s >= (asked_for_s or 0)


def test_what_was_asked_for_does_not_make_the_next_pause_longer() -> None:
    patience = Patience()
    assert patience.next_pause_s(60) == 60
    assert patience.next_pause_s(None) <= 2 * FIRST_PAUSE_S
