"""Events that the platform rejects for what they are: tried again a few times, then set aside, and never in the way.

Until that is decided, what else happens to their orders waits with them: so the events of an order stay in order.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from jangteo.core.entities import FailedEvent
from jangteo.delivery.ordering import Unsent, order_of
from jangteo.delivery.sinks.base import one_line
from jangteo.storage.chores import DueRetry

RETRY_DELAYS_S: Final = (1.0, 5.0, 25.0, 125.0)

"""So long after each rejection an event is tried again; after the one behind the last it is set aside."""
_WAITS: Final = "waits for an earlier event of its order"


class PendingRetries:
    """Which orders have an event that is to be tried again."""

    def __init__(self) -> None:
        self._events: dict[int, set[int]] = {}

    def __len__(self) -> int:
        """Of so many orders."""
        return len(self._events)

    def load(self, events: Iterable[tuple[int, int]]) -> None:
        """Begin with these: pairs of an order and an event's place in the outbox."""
        self._events.clear()
        for order_id, event in events:
            self.add(event, order_id)

    def blocked(self, events: Sequence[bytes]) -> list[Unsent]:
        """Those of the events that must wait for earlier ones."""
        if not self._events:
            return []
        orders = [order_of(event) for event in events]
        return [Unsent(place, order_id, None) for place, order_id in enumerate(orders) if order_id in self._events]

    def remember(self, unsent: Iterable[Unsent], places: Sequence[int]) -> list[FailedEvent]:
        """What is to be remembered of events that were not sent; `places` are those in the outbox."""
        return [self._unsent(each, places[each.place], attempts=0) for each in unsent]

    def remember_again(self, trial: DueRetry, unsent: Unsent) -> FailedEvent:
        """What is to be remembered of one that was tried again."""
        return self._unsent(unsent, trial.event, trial.attempts)

    def _unsent(self, unsent: Unsent, event: int, attempts: int) -> FailedEvent:
        if unsent.reason is None:
            self.add(event, unsent.order_id)
            return FailedEvent(event, unsent.order_id, attempts, _WAITS, next_attempt_in_s=0)
        if attempts < len(RETRY_DELAYS_S):
            self.add(event, unsent.order_id)
            return FailedEvent(event, unsent.order_id, attempts + 1, one_line(unsent.reason), RETRY_DELAYS_S[attempts])
        self.settled(event, unsent.order_id)
        return FailedEvent(event, unsent.order_id, attempts + 1, one_line(unsent.reason), next_attempt_in_s=None)

    def settled(self, event: int, order_id: int) -> None:
        """It was accepted, or set aside."""
        events = self._events.get(order_id, set())
        events.discard(event)
        if not events:
            self._events.pop(order_id, None)

    def add(self, event: int, order_id: int) -> None:
        """It is to be tried again."""
        self._events.setdefault(order_id, set()).add(event)
