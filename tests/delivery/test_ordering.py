"""Per-key ordering: events of one order are sent one by one, and none after one that was rejected."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jangteo.delivery.ordering import Unsent, dispatch, order_of
from jangteo.delivery.sinks.base import PlatformGone, PlatformUnavailable


def event(number: int, order: int, kind: str) -> bytes:
    """The text of an event, with the fields that matter here."""
    return f'{{"id":"{number}","type":"jangteo.order.{kind}","subject":"{order}","data":{{}}}}'.encode()


def events_of(orders: Sequence[int]) -> list[bytes]:
    """One event for each number: an order's first is paid, all others are cancelled."""
    seen: Counter[int] = Counter()
    events = []
    for number, order in enumerate(orders):
        events.append(event(number, order, "cancelled" if seen[order] else "paid"))
        seen[order] += 1
    return events


class Scripted:
    """A sink that rejects the given events and records every wave."""

    def __init__(self, *rejected: bytes) -> None:
        self._refused = set(rejected)
        self.waves: list[list[bytes]] = []

    async def send(self, events: Sequence[bytes]) -> Mapping[int, str]:
        self.waves.append(list(events))
        await asyncio.sleep(0)
        return {index: f"no to {event!r}" for index, event in enumerate(events) if event in self._refused}

    async def probe(self) -> str:
        return "in this process"

    async def close(self) -> None:
        """Do nothing."""


class Failing(Scripted):
    """A sink that fails at its second wave."""

    def __init__(self, failure: Exception) -> None:
        super().__init__()
        self._failure = failure

    async def send(self, events: Sequence[bytes]) -> Mapping[int, str]:
        if self.waves:
            raise self._failure
        return await super().send(events)


def expected(events: Sequence[bytes], rejected: set[int]) -> list[Unsent]:
    """The unsent events: of each order the first rejected one, and all after it."""
    blocked: set[int] = set()
    unsent = []
    for index, each in enumerate(events):
        order = order_of(each)
        if order in blocked:
            unsent.append(Unsent(index, order, None))
        elif index in rejected:
            blocked.add(order)
            unsent.append(Unsent(index, order, f"no to {each!r}"))
    return unsent


ORDERS = st.lists(st.integers(1, 6), max_size=24)


@given(ORDERS.flatmap(lambda orders: st.tuples(st.just(orders), st.sets(st.integers(0, max(len(orders) - 1, 0))))))
def test_events_of_an_order_are_sent_in_order_and_once_whatever_is_rejected(case: tuple[list[int], set[int]]) -> None:
    orders, rejected = case
    events = events_of(orders)
    sink = Scripted(*(each for index, each in enumerate(events) if index in rejected))
    unsent = asyncio.run(dispatch(sink, events))
    assert sorted(unsent, key=lambda each: each.index) == expected(events, rejected)
    for wave in sink.waves:
        orders_of_wave = [order_of(each) for each in wave]
        assert len(orders_of_wave) == len(set(orders_of_wave)), "a wave has two events of one order"
    sent = [each for wave in sink.waves for each in wave]
    blocked = {events[each.index] for each in unsent if each.reason is None}
    assert sorted(sent) == sorted(set(events) - blocked), "all but the blocked events are sent once"
    for order in set(orders):
        of_order = [each for each in sent if order_of(each) == order]
        assert of_order == [each for each in events if each in of_order], "in order"


@pytest.mark.parametrize(
    ("orders", "waves"),
    [
        ([], 0),
        ([1], 1),
        ([1, 2, 3], 1),
        ([1, 1], 2),
        ([1, 2, 1, 3, 2], 2),
        ([1, 1, 1, 2], 3),
    ],
)
def test_there_are_as_many_waves_as_the_most_events_of_an_order(orders: list[int], waves: int) -> None:
    sink = Scripted()
    assert asyncio.run(dispatch(sink, events_of(orders))) == []
    assert len(sink.waves) == waves


def test_a_lone_cancelled_event_is_sent() -> None:
    sink, lone = Scripted(), [event(1, 7, "cancelled")]
    assert asyncio.run(dispatch(sink, lone)) == []
    assert sink.waves == [lone]


def test_a_wave_whose_events_are_all_blocked_is_not_sent() -> None:
    events = events_of([1, 1])
    sink = Scripted(events[0])
    assert asyncio.run(dispatch(sink, events)) == [Unsent(0, 1, f"no to {events[0]!r}"), Unsent(1, 1, None)]
    assert sink.waves == [[events[0]]]


@pytest.mark.parametrize("failure", [PlatformUnavailable("busy", 3), PlatformGone("410")])
def test_platform_errors_reach_the_sender(failure: Exception) -> None:
    sink = Failing(failure)
    with pytest.raises(type(failure)) as raised:
        asyncio.run(dispatch(sink, events_of([1, 2, 1])))
    assert raised.value is failure
    assert len(sink.waves) == 1
