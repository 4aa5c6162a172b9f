"""Per-key ordering: events of one order are sent one after the other, and a failed one blocks the later ones."""

from collections.abc import Collection, Iterator, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from jangteo.delivery.sinks.base import Sink

_CANCELLED: Final = b'"type":"jangteo.order.cancelled"'


class _Subject(Struct):
    subject: str


class Unsent(Struct, frozen=True):
    """An event that the platform has not accepted: its index among the events to send, and its order."""

    index: int
    order_id: int
    reason: str | None
    """Why the platform rejected it; None when it is blocked by an earlier event of its order."""


_decode_subject = msgspec.json.Decoder(_Subject).decode


def order_of(event: bytes) -> int:
    """Return the id of the order that an event is about."""
    return int(_decode_subject(event).subject)


async def dispatch(sink: Sink, events: Sequence[bytes]) -> list[Unsent]:
    """Send the events and return those not accepted. Raises PlatformUnavailable and PlatformGone."""
    unsent: list[Unsent] = []
    for wave in _waves(events):
        blocked = _blocked(events, wave, {each.order_id for each in unsent})
        unsent += blocked
        blocked_indexes = {each.index for each in blocked}
        indexes = [index for index in wave if index not in blocked_indexes]
        if indexes:
            rejected = await sink.send([events[index] for index in indexes])
            unsent += (Unsent(indexes[at], order_of(events[indexes[at]]), reason) for at, reason in rejected.items())
    return unsent


def _blocked(events: Sequence[bytes], indexes: Sequence[int], order_ids: Collection[int]) -> list[Unsent]:
    """Return those of the events that belong to these orders."""
    if not order_ids:
        return []
    orders = ((index, order_of(events[index])) for index in indexes)
    return [Unsent(index, order_id, None) for index, order_id in orders if order_id in order_ids]


def _waves(events: Sequence[bytes]) -> Iterator[Sequence[int]]:
    """Split the events' indexes into waves with at most one event of each order."""
    # Only a cancellation is a second event of its order.
    if len(events) == 1 or not any(_CANCELLED in event for event in events):
        yield range(len(events))
        return
    left = [(index, order_of(event)) for index, event in enumerate(events)]
    while left:
        first = {order_id: index for index, order_id in reversed(left)}
        yield sorted(first.values())
        left = [(index, order_id) for index, order_id in left if first[order_id] != index]
