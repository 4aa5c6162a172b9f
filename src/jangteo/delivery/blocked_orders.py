"""Which orders are blocked: those with an event in the retry queue that has a next attempt.

Later events of a blocked order join the retry queue instead of being sent, so an order's events stay in order.
"""

from collections.abc import Iterable, Sequence

from jangteo.core.entities import FailedEvent
from jangteo.delivery.ordering import Unsent, order_of


class BlockedOrders:
    """The pending events of each blocked order, by outbox id."""

    def __init__(self) -> None:
        self._pending: dict[int, set[int]] = {}

    def __len__(self) -> int:
        """Return how many orders are blocked."""
        return len(self._pending)

    def load(self, pending: Iterable[tuple[int, int]]) -> None:
        """Start over with these pairs of order id and outbox id."""
        self._pending.clear()
        for order_id, outbox_id in pending:
            self.block(order_id, outbox_id)

    def select(self, events: Sequence[bytes]) -> list[Unsent]:
        """Return those of the events whose orders are blocked."""
        if not self._pending:
            return []
        orders = [order_of(event) for event in events]
        return [Unsent(index, order_id, None) for index, order_id in enumerate(orders) if order_id in self._pending]

    def update(self, event: FailedEvent) -> None:
        """Block the event's order while the event has a next attempt; unblock it when it is a dead letter."""
        if event.next_attempt_in_s is None:
            self.unblock(event.order_id, event.outbox_id)
        else:
            self.block(event.order_id, event.outbox_id)

    def block(self, order_id: int, outbox_id: int) -> None:
        """Block the order until this event is delivered or a dead letter."""
        self._pending.setdefault(order_id, set()).add(outbox_id)

    def unblock(self, order_id: int, outbox_id: int) -> None:
        """Let this event no longer block the order; other pending ones may."""
        pending = self._pending.get(order_id, set())
        pending.discard(outbox_id)
        if not pending:
            self._pending.pop(order_id, None)
