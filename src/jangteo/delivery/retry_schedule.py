"""The retry schedule: when a failed event is sent again, and when it becomes a dead letter."""

from typing import Final

from jangteo.core.entities import FailedEvent
from jangteo.delivery.ordering import Unsent
from jangteo.delivery.sinks.base import REASON_CHARACTERS
from jangteo.foreign_text import one_line

RETRY_DELAYS_S: Final = (1.0, 5.0, 25.0, 125.0)
_BLOCKED: Final = "waits for an earlier event of its order"


def next_delay_s(attempts: int) -> float | None:
    """Return the seconds until the next attempt, given the failed attempts (at least 1); None: no attempt is left."""
    return RETRY_DELAYS_S[attempts - 1] if attempts <= len(RETRY_DELAYS_S) else None


def failed_event(unsent: Unsent, outbox_id: int, attempts: int) -> FailedEvent:
    """Return what the retry queue records of an event that the platform has not accepted.

    `attempts` is how often it was sent before. A blocked event wasn't sent, so it is due as soon as nothing blocks it.
    """
    if unsent.reason is None:
        return FailedEvent(outbox_id, unsent.order_id, attempts, _BLOCKED, next_attempt_in_s=0)
    attempts += 1
    reason = one_line(unsent.reason, REASON_CHARACTERS)
    return FailedEvent(outbox_id, unsent.order_id, attempts, reason, next_delay_s(attempts))
