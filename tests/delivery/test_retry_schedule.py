"""The retry schedule: delays between attempts, and when an event becomes a dead letter."""

from __future__ import annotations

from jangteo.core.entities import FailedEvent
from jangteo.delivery.ordering import Unsent
from jangteo.delivery.retry_schedule import RETRY_DELAYS_S, failed_event, next_delay_s

PAID, CANCELLED = 10, 20
"""Outbox ids of two events of one order."""
ORDER = 7


def test_an_event_is_retried_after_every_delay_and_then_a_dead_letter() -> None:
    event = failed_event(Unsent(1, ORDER, "no"), PAID, attempts=0)
    delays = [event.next_attempt_in_s]
    while event.next_attempt_in_s is not None:
        event = failed_event(Unsent(0, ORDER, "still no"), PAID, event.attempts)
        delays.append(event.next_attempt_in_s)
    assert delays == [*RETRY_DELAYS_S, None]
    assert event == FailedEvent(PAID, ORDER, len(RETRY_DELAYS_S) + 1, "still no", None)


def test_the_delays_grow() -> None:
    assert list(RETRY_DELAYS_S) == sorted(set(RETRY_DELAYS_S))
    assert min(RETRY_DELAYS_S) > 0


def test_there_is_a_delay_after_every_attempt_but_the_last() -> None:
    attempts = range(1, len(RETRY_DELAYS_S) + 3)
    assert [next_delay_s(count) for count in attempts] == [*RETRY_DELAYS_S, None, None]


def test_a_blocked_event_is_due_at_once_and_has_no_attempt() -> None:
    paid = failed_event(Unsent(0, ORDER, "no"), PAID, attempts=0)
    cancelled = failed_event(Unsent(1, ORDER, None), CANCELLED, attempts=0)
    assert (paid.attempts, paid.next_attempt_in_s) == (1, RETRY_DELAYS_S[0])
    assert (cancelled.attempts, cancelled.next_attempt_in_s) == (0, 0)
    assert "earlier event" in cancelled.reason


def test_an_event_that_is_blocked_again_keeps_its_attempts() -> None:
    event = failed_event(Unsent(0, ORDER, None), CANCELLED, attempts=3)
    assert (event.attempts, event.next_attempt_in_s) == (3, 0)
