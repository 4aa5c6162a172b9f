"""Events to one sink: those of one order one after the other, and which were not taken."""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct

from jangteo.delivery.sinks.base import Sink

_CANCELLED: Final = b'"type":"jangteo.order.cancelled"'


class _Head(Struct):
    subject: str


class Unsent(NamedTuple):
    """An event that the platform doesn't have now: its place among those to be sent, its order, and why."""

    place: int
    order_id: int
    reason: str | None
    """What the platform said of it; None: an earlier event of its order has to be sent first."""


_head = msgspec.json.Decoder(_Head).decode


def order_of(event: bytes) -> int:
    """The order that an event tells of."""
    return int(_head(event).subject)


async def dispatch(sink: Sink, events: Sequence[bytes]) -> list[Unsent]:
    """Send all of these, in order where they are of one order: those that were not sent. Raises Later and Gone."""
    unsent: list[Unsent] = []
    for wave in _waves(events):
        held = _blocked(events, wave, {each.order_id for each in unsent})
        unsent += held
        waiting = {each.place for each in held}
        places = [place for place in wave if place not in waiting]
        if places:
            rejected = await sink.send([events[place] for place in places])
            unsent += (Unsent(places[at], order_of(events[places[at]]), reason) for at, reason in rejected.items())
    return unsent


def _blocked(events: Sequence[bytes], places: Sequence[int], orders: set[int]) -> list[Unsent]:
    """Those of the events that are of these orders."""
    if not orders:
        return []
    found = ((place, order_of(events[place])) for place in places)
    return [Unsent(place, order_id, None) for place, order_id in found if order_id in orders]


def _waves(events: Sequence[bytes]) -> Iterator[Sequence[int]]:
    """The places of events, in waves that lock one of each order at most."""
    # Only what becomes of an order makes it come a second time.
    if len(events) == 1 or not any(_CANCELLED in event for event in events):
        yield range(len(events))
        return
    left = [(place, order_of(event)) for place, event in enumerate(events)]
    while left:
        first = {order_id: place for place, order_id in reversed(left)}
        yield sorted(first.values())
        left = [(place, order_id) for place, order_id in left if first[order_id] != place]
