"""What becomes of events that were rejected: tried again a few times, then set aside; their orders' others wait."""

from __future__ import annotations

from jangteo.core.entities import FailedEvent
from jangteo.delivery.ordering import Unsent
from jangteo.delivery.retry_schedule import RETRY_DELAYS_S, PendingRetries
from jangteo.storage.chores import DueRetry

PAID, CANCELLED = 10, 20
"""Two events of one order."""
ORDER = 7


def of(order: int) -> bytes:
    return f'{{"subject":"{order}"}}'.encode()


def trial(event: int, attempts: int) -> DueRetry:
    return DueRetry(event, ORDER, attempts, "text")


def blocked(retries: PendingRetries, *orders: int) -> list[int]:
    """The orders whose events must wait."""
    found = retries.blocked([of(order) for order in orders])
    assert all(each.reason is None and orders[each.place] == each.order_id for each in found)
    return [each.order_id for each in found]


def test_an_event_is_tried_again_after_every_pause_and_then_set_aside() -> None:
    retries = PendingRetries()
    [rejected] = retries.remember([Unsent(1, ORDER, "no")], [9, PAID])
    pauses = [rejected.next_attempt_in_s]
    while rejected.next_attempt_in_s is not None:
        assert blocked(retries, ORDER) == [ORDER]
        rejected = retries.remember_again(trial(PAID, attempts=rejected.attempts), Unsent(0, ORDER, "still no"))
        pauses.append(rejected.next_attempt_in_s)
    assert pauses == [*RETRY_DELAYS_S, None]
    assert rejected == FailedEvent(PAID, ORDER, len(RETRY_DELAYS_S) + 1, "still no", None)
    assert blocked(retries, ORDER) == [], "what is set aside is in nobody's way"


def test_the_pauses_grow() -> None:
    assert list(RETRY_DELAYS_S) == sorted(set(RETRY_DELAYS_S))
    assert min(RETRY_DELAYS_S) > 0


def test_one_that_waits_for_another_of_its_order_is_due_at_once_and_was_not_tried() -> None:
    retries = PendingRetries()
    paid, cancelled = retries.remember([Unsent(0, ORDER, "no"), Unsent(1, ORDER, None)], [PAID, CANCELLED])
    assert (paid.attempts, paid.next_attempt_in_s) == (1, RETRY_DELAYS_S[0])
    assert (cancelled.attempts, cancelled.next_attempt_in_s) == (0, 0)
    assert "earlier event" in cancelled.reason


def test_one_that_waits_again_keeps_its_tries() -> None:
    waits = PendingRetries().remember_again(trial(CANCELLED, attempts=3), Unsent(0, ORDER, None))
    assert (waits.attempts, waits.next_attempt_in_s) == (3, 0)


def test_only_the_orders_with_an_event_to_be_tried_again_are_held_up() -> None:
    retries = PendingRetries()
    assert blocked(retries, 1, 2) == []
    retries.remember([Unsent(0, 2, "no")], [PAID])
    assert blocked(retries, 1, 2, 3, 2) == [2, 2]


def test_what_waits_for_one_is_held_up_until_all_of_its_order_is_settled() -> None:
    retries = PendingRetries()
    retries.load([(ORDER, PAID), (ORDER, CANCELLED)])
    retries.settled(PAID, ORDER)
    assert blocked(retries, ORDER) == [ORDER]
    retries.settled(CANCELLED, ORDER)
    assert (blocked(retries, ORDER), len(retries)) == ([], 0)


def test_what_an_operator_asks_for_is_in_the_way_of_what_comes_behind_it() -> None:
    retries = PendingRetries()
    retries.add(PAID, ORDER)
    assert blocked(retries, ORDER, 8) == [ORDER]


def test_what_is_set_aside_is_not_in_the_way_of_the_next_of_its_order() -> None:
    retries = PendingRetries()
    retries.load([(ORDER, PAID)])
    retries.remember_again(trial(PAID, attempts=len(RETRY_DELAYS_S)), Unsent(0, ORDER, "no"))
    assert blocked(retries, ORDER) == []


def test_settling_what_is_not_known_disturbs_nothing() -> None:
    retries = PendingRetries()
    retries.load([(ORDER, PAID)])
    retries.settled(PAID, 8)
    retries.settled(CANCELLED, ORDER)
    assert blocked(retries, ORDER, 8) == [ORDER]


def test_loading_forgets_what_was_known_before() -> None:
    retries = PendingRetries()
    retries.load([(1, PAID), (2, CANCELLED)])
    retries.load([(3, PAID)])
    assert blocked(retries, 1, 2, 3) == [3]
