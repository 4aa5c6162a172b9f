"""Which orders are blocked: those with an event that will be retried, and no others."""

from __future__ import annotations

from jangteo.delivery.blocked_orders import BlockedOrders
from jangteo.delivery.ordering import Unsent
from jangteo.delivery.retry_schedule import RETRY_DELAYS_S, failed_event

PAID, CANCELLED = 10, 20
"""Outbox ids of two events of one order."""
ORDER = 7


def event_of(order: int) -> bytes:
    return f'{{"subject":"{order}"}}'.encode()


def selected(blocked: BlockedOrders, *orders: int) -> list[int]:
    """Those of the orders whose events are blocked."""
    unsent = blocked.select([event_of(order) for order in orders])
    assert all(each.reason is None and orders[each.index] == each.order_id for each in unsent)
    return [each.order_id for each in unsent]


def test_an_order_is_blocked_while_its_event_is_retried_but_not_by_a_dead_letter() -> None:
    blocked = BlockedOrders()
    event = failed_event(Unsent(1, ORDER, "no"), PAID, attempts=0)
    blocked.update(event)
    while event.next_attempt_in_s is not None:
        assert selected(blocked, ORDER) == [ORDER]
        event = failed_event(Unsent(0, ORDER, "still no"), PAID, event.attempts)
        blocked.update(event)
    assert selected(blocked, ORDER) == []


def test_only_events_of_blocked_orders_are_selected() -> None:
    blocked = BlockedOrders()
    assert selected(blocked, 1, 2) == []
    blocked.update(failed_event(Unsent(0, 2, "no"), PAID, attempts=0))
    assert selected(blocked, 1, 2, 3, 2) == [2, 2]


def test_a_blocked_event_blocks_its_order_too() -> None:
    blocked = BlockedOrders()
    blocked.update(failed_event(Unsent(0, ORDER, None), CANCELLED, attempts=0))
    assert selected(blocked, ORDER) == [ORDER]


def test_an_order_is_blocked_until_its_last_event_is_unblocked() -> None:
    blocked = BlockedOrders()
    blocked.load([(ORDER, PAID), (ORDER, CANCELLED)])
    blocked.unblock(ORDER, PAID)
    assert selected(blocked, ORDER) == [ORDER]
    blocked.unblock(ORDER, CANCELLED)
    assert (selected(blocked, ORDER), len(blocked)) == ([], 0)


def test_an_event_that_an_operator_retries_blocks_its_order() -> None:
    blocked = BlockedOrders()
    blocked.block(ORDER, PAID)
    assert selected(blocked, ORDER, 8) == [ORDER]


def test_a_dead_letter_unblocks_its_order() -> None:
    blocked = BlockedOrders()
    blocked.load([(ORDER, PAID)])
    blocked.update(failed_event(Unsent(0, ORDER, "no"), PAID, attempts=len(RETRY_DELAYS_S)))
    assert selected(blocked, ORDER) == []


def test_unblocking_an_unknown_event_changes_nothing() -> None:
    blocked = BlockedOrders()
    blocked.load([(ORDER, PAID)])
    blocked.unblock(8, PAID)
    blocked.unblock(ORDER, CANCELLED)
    assert selected(blocked, ORDER, 8) == [ORDER]


def test_loading_replaces_what_was_blocked_before() -> None:
    blocked = BlockedOrders()
    blocked.load([(1, PAID), (2, CANCELLED)])
    blocked.load([(3, PAID)])
    assert selected(blocked, 1, 2, 3) == [3]
