"""Events for the data platform: one for each paid and each cancelled order."""

from typing import Literal

from msgspec import Struct

from jangteo.core.entities import Order
from jangteo.core.limits import Timestamp

EventType = Literal["jangteo.order.paid", "jangteo.order.cancelled"]


class Event(Struct, frozen=True, gc=False):
    """What happened to an order, when, and the whole order as it was right after."""

    type: EventType
    order: Order
    happened_at: Timestamp

    @property
    def id(self) -> str:
        """The event's id within this shop: the same however often the event is sent."""
        return f"order-{self.order.order_id}-{self.order.status}"


def order_paid(order: Order, at: Timestamp) -> Event:
    """Return the event of a paid order."""
    return Event("jangteo.order.paid", order, at)


def order_cancelled(order: Order, at: Timestamp) -> Event:
    """Return the event of a cancelled and refunded order."""
    return Event("jangteo.order.cancelled", order, at)
