"""Events to a sink: those of one order one after the other, and none behind one of its order that was not taken."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jangteo.delivery.ordering import Unsent, dispatch, order_of
from jangteo.delivery.sinks.base import Gone, Later


def event(number: int, order: int, kind: str) -> bytes:
    """As it is kept in the outbox, as far as that matters here."""
    return f'{{"id":"{number}","type":"jangteo.order.{kind}","subject":"{order}","data":{{}}}}'.encode()


def events_of(orders: Sequence[int]) -> list[bytes]:
    """An order's first event says that it was paid, every later one that it was cancelled."""
    seen: Counter[int] = Counter()
    events = []
    for number, order in enumerate(orders):
        events.append(event(number, order, "cancelled" if seen[order] else "paid"))
        seen[order] += 1
    return events


class Scripted:
    """A sink that rejects what it is told to, and keeps every wave that it was given."""

    def __init__(self, *refused: bytes) -> None:
        self._refused = set(refused)
        self.waves: list[list[bytes]] = []

    async def send(self, events: Sequence[bytes]) -> Mapping[int, str]:
        self.waves.append(list(events))
        await asyncio.sleep(0)
        return {place: f"no to {event!r}" for place, event in enumerate(events) if event in self._refused}

    async def close(self) -> None:
        """Nothing is held."""


class Failing(Scripted):
    """A sink that fails in its second wave."""

    def __init__(self, failure: Exception) -> None:
        super().__init__()
        self._failure = failure

    async def send(self, events: Sequence[bytes]) -> Mapping[int, str]:
        if self.waves:
            raise self._failure
        return await super().send(events)


def expected(events: Sequence[bytes], refused: set[int]) -> list[Unsent]:
    """What is not sent, order by order: the first that is refused, and whatever comes behind it."""
    stopped: set[int] = set()
    unsent = []
    for place, each in enumerate(events):
        order = order_of(each)
        if order in stopped:
            unsent.append(Unsent(place, order, None))
        elif place in refused:
            stopped.add(order)
            unsent.append(Unsent(place, order, f"no to {each!r}"))
    return unsent


ORDERS = st.lists(st.integers(1, 6), max_size=24)


@given(ORDERS.flatmap(lambda orders: st.tuples(st.just(orders), st.sets(st.integers(0, max(len(orders) - 1, 0))))))
def test_whatever_is_refused_an_order_s_events_go_in_order_and_each_once(case: tuple[list[int], set[int]]) -> None:
    orders, refused = case
    events = events_of(orders)
    sink = Scripted(*(each for place, each in enumerate(events) if place in refused))
    unsent = asyncio.run(dispatch(sink, events))
    assert sorted(unsent) == expected(events, refused)
    for wave in sink.waves:
        told = [order_of(each) for each in wave]
        assert len(told) == len(set(told)), "a wave holds one event of an order"
    sent = [each for wave in sink.waves for each in wave]
    blocked = {events[each.place] for each in unsent if each.reason is None}
    assert sorted(sent) == sorted(set(events) - blocked), "all but what is held up is sent, once"
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
def test_there_are_no_more_waves_than_one_order_has_events(orders: list[int], waves: int) -> None:
    sink = Scripted()
    assert asyncio.run(dispatch(sink, events_of(orders))) == []
    assert len(sink.waves) == waves


def test_a_lone_cancelled_event_is_sent() -> None:
    sink, lone = Scripted(), [event(1, 7, "cancelled")]
    assert asyncio.run(dispatch(sink, lone)) == []
    assert sink.waves == [lone]


def test_a_wave_in_which_all_are_held_up_is_not_sent() -> None:
    events = events_of([1, 1])
    sink = Scripted(events[0])
    assert asyncio.run(dispatch(sink, events)) == [Unsent(0, 1, f"no to {events[0]!r}"), Unsent(1, 1, None)]
    assert sink.waves == [[events[0]]]


@pytest.mark.parametrize("failure", [Later("busy", 3), Gone("410")])
def test_what_the_platform_says_of_all_events_reaches_whoever_sends(failure: Exception) -> None:
    sink = Failing(failure)
    with pytest.raises(type(failure)) as raised:
        asyncio.run(dispatch(sink, events_of([1, 2, 1])))
    assert raised.value is failure
    assert len(sink.waves) == 1
