"""What becomes of events that were rejected: tried again a few times, then set aside; their orders' others wait."""

from __future__ import annotations

from jangteo.core.relay import Rejected
from jangteo.delivery.ordering import Unsent
from jangteo.delivery.retry_schedule import PAUSES_S, Trials
from jangteo.storage.chores import Trial

PAID, CANCELLED = 10, 20
"""Two events of one order."""
ORDER = 7


def of(order: int) -> bytes:
    return f'{{"subject":"{order}"}}'.encode()


def trial(event: int, tries: int) -> Trial:
    return Trial(event, ORDER, tries, "text")


def held_up(trials: Trials, *orders: int) -> list[int]:
    """The orders whose events must wait."""
    found = trials.held_up([of(order) for order in orders])
    assert all(each.reason is None and orders[each.place] == each.order_id for each in found)
    return [each.order_id for each in found]


def test_an_event_is_tried_again_after_every_pause_and_then_set_aside() -> None:
    trials = Trials()
    [rejected] = trials.remember([Unsent(1, ORDER, "no")], [9, PAID])
    pauses = [rejected.again_in_s]
    while rejected.again_in_s is not None:
        assert held_up(trials, ORDER) == [ORDER]
        rejected = trials.remember_again(trial(PAID, tries=rejected.tries), Unsent(0, ORDER, "still no"))
        pauses.append(rejected.again_in_s)
    assert pauses == [*PAUSES_S, None]
    assert rejected == Rejected(PAID, ORDER, len(PAUSES_S) + 1, "still no", None)
    assert held_up(trials, ORDER) == [], "what is set aside is in nobody's way"


def test_the_pauses_grow() -> None:
    assert list(PAUSES_S) == sorted(set(PAUSES_S))
    assert min(PAUSES_S) > 0


def test_one_that_waits_for_another_of_its_order_is_due_at_once_and_was_not_tried() -> None:
    trials = Trials()
    paid, cancelled = trials.remember([Unsent(0, ORDER, "no"), Unsent(1, ORDER, None)], [PAID, CANCELLED])
    assert (paid.tries, paid.again_in_s) == (1, PAUSES_S[0])
    assert (cancelled.tries, cancelled.again_in_s) == (0, 0)
    assert "earlier event" in cancelled.reason


def test_one_that_waits_again_keeps_its_tries() -> None:
    waits = Trials().remember_again(trial(CANCELLED, tries=3), Unsent(0, ORDER, None))
    assert (waits.tries, waits.again_in_s) == (3, 0)


def test_only_the_orders_with_an_event_to_be_tried_again_are_held_up() -> None:
    trials = Trials()
    assert held_up(trials, 1, 2) == []
    trials.remember([Unsent(0, 2, "no")], [PAID])
    assert held_up(trials, 1, 2, 3, 2) == [2, 2]


def test_what_waits_for_one_is_held_up_until_all_of_its_order_is_settled() -> None:
    trials = Trials()
    trials.load([(ORDER, PAID), (ORDER, CANCELLED)])
    trials.settled(PAID, ORDER)
    assert held_up(trials, ORDER) == [ORDER]
    trials.settled(CANCELLED, ORDER)
    assert (held_up(trials, ORDER), len(trials)) == ([], 0)


def test_what_an_operator_asks_for_is_in_the_way_of_what_comes_behind_it() -> None:
    trials = Trials()
    trials.add(PAID, ORDER)
    assert held_up(trials, ORDER, 8) == [ORDER]


def test_what_is_set_aside_is_not_in_the_way_of_the_next_of_its_order() -> None:
    trials = Trials()
    trials.load([(ORDER, PAID)])
    trials.remember_again(trial(PAID, tries=len(PAUSES_S)), Unsent(0, ORDER, "no"))
    assert held_up(trials, ORDER) == []


def test_settling_what_is_not_known_disturbs_nothing() -> None:
    trials = Trials()
    trials.load([(ORDER, PAID)])
    trials.settled(PAID, 8)
    trials.settled(CANCELLED, ORDER)
    assert held_up(trials, ORDER, 8) == [ORDER]


def test_loading_forgets_what_was_known_before() -> None:
    trials = Trials()
    trials.load([(1, PAID), (2, CANCELLED)])
    trials.load([(3, PAID)])
    assert held_up(trials, 1, 2, 3) == [3]
