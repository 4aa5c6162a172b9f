"""Exponential backoff with jitter: bounds, growth, reset, and the platform's own Retry-After."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jangteo.delivery.backoff import FIRST_DELAY_S, MAX_DELAY_S, Backoff

FAILURES = 12
"""More failures than it takes to reach the longest delay."""


def test_each_delay_is_between_half_and_all_of_the_doubled_one() -> None:
    backoff = Backoff()
    doubled = [min(FIRST_DELAY_S * 2**failure, MAX_DELAY_S) for failure in range(FAILURES)]
    assert doubled[-1] == MAX_DELAY_S
    for full_s in doubled:
        assert full_s / 2 <= backoff.next_delay_s(None) <= full_s


def test_jitter_spreads_clients_that_failed_together() -> None:
    delays = {Backoff().next_delay_s(None) for _ in range(100)}
    assert len(delays) > 50
    assert max(delays) - min(delays) > FIRST_DELAY_S / 8


def test_a_success_resets_the_delay() -> None:
    backoff = Backoff()
    for _ in range(FAILURES):
        backoff.next_delay_s(None)
    backoff.reset()
    assert backoff.next_delay_s(None) <= FIRST_DELAY_S


@given(st.lists(st.none() | st.floats(0, 100), min_size=1, max_size=2 * FAILURES))
def test_a_delay_is_at_least_retry_after_and_at_most_the_longer_of_it_and_the_maximum(
    retry_afters: list[float | None],
) -> None:
    backoff = Backoff()
    for retry_after_s in retry_afters:
        delay_s = backoff.next_delay_s(retry_after_s)
        assert FIRST_DELAY_S / 2 <= delay_s <= max(MAX_DELAY_S, retry_after_s or 0)
        assert delay_s >= (retry_after_s or 0)


def test_retry_after_does_not_lengthen_the_next_delay() -> None:
    backoff = Backoff()
    assert backoff.next_delay_s(60) == 60
    assert backoff.next_delay_s(None) <= 2 * FIRST_DELAY_S
