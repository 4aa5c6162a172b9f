"""What operators are told of the platform: that it fails and why, that it does again, how much was sent."""

from time import monotonic
from typing import Final

from jangteo.core.relay import RecordPlatformStatus
from jangteo.delivery.sender import Sender
from jangteo.delivery.sinks.base import one_line

REPORTED_EVERY_S: Final = 2.0


class Reports:
    """Written down when something has changed, and every few seconds while events are sent."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._failure: str | None = None
        self._at = monotonic()
        self._events = 0
        self._has_said_anything = False

    async def failure(self, why: str, *, stopped: bool = False) -> None:
        """The platform can't be told now, or wants no more. Raises as `Sender.note`."""
        why = one_line(why)
        if stopped or why != self._failure or monotonic() - self._at >= REPORTED_EVERY_S:
            self._failure = why
            await self._report(stopped=stopped)

    async def progress(self) -> None:
        """All is well, as far as something was sent; and once that there is a relay. Raises as `Sender.note`."""
        if self._sender.failing or self._sender.stopped:
            return
        is_news = self._sender.sent_events > self._events
        is_due = self._failure is not None or monotonic() - self._at >= REPORTED_EVERY_S
        if (is_news and is_due) or not self._has_said_anything:
            self._failure = None
            await self._report(stopped=False)

    async def _report(self, *, stopped: bool) -> None:
        now, events = monotonic(), self._sender.sent_events
        sent, within_s = events - self._events, now - self._at
        self._at, self._events, self._has_said_anything = now, events, True
        await self._sender.submit(RecordPlatformStatus(self._sender.platform, self._failure, stopped, sent, within_s))
