"""Facts that happened and that the data platform is told, one for each paid and each cancelled order."""

from typing import Literal

from msgspec import Struct

from jangteo.core.entities import Order
from jangteo.core.limits import Timestamp

EventType = Literal["jangteo.order.paid", "jangteo.order.cancelled"]


class Event(Struct, frozen=True):
    """What happened to an order, when, and the whole order as it was right after."""

    type: EventType
    order: Order
    happened_at: Timestamp

    @property
    def id(self) -> str:
        """Which fact of this shop it is: the same whoever tells it, and however often."""
        return f"order-{self.order.order_id}-{self.order.status}"


def order_paid(order: Order, at: Timestamp) -> Event:
    """The order was placed and paid."""
    return Event("jangteo.order.paid", order, at)


def order_cancelled(order: Order, at: Timestamp) -> Event:
    """The order was cancelled and its money returned."""
    return Event("jangteo.order.cancelled", order, at)
