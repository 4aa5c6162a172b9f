"""Reports for operators: that the platform fails and why, that it works again, and the rate of events sent."""

from time import monotonic
from typing import Final

from jangteo.core.relay import RecordPlatformStatus
from jangteo.delivery.sender import Sender
from jangteo.delivery.sinks.base import REASON_CHARACTERS
from jangteo.foreign_text import one_line

REPORT_INTERVAL_S: Final = 2.0


class Reports:
    """Records the platform's status when it changes, and every few seconds while events are sent."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._failure: str | None = None
        self._reported_at = monotonic()
        self._reported_events = 0
        self._has_reported = False

    async def step(self) -> None:
        """Report events sent since the last report; the first report needs none. Raises what `Sender.submit` raises."""
        if self._sender.failing or self._sender.stopped:
            return
        has_sent = self._sender.sent_events > self._reported_events
        is_due = self._failure is not None or self._is_interval_over()
        if (has_sent and is_due) or not self._has_reported:
            self._failure = None
            await self._report(stopped=False)

    async def report_failure(self, reason: str, *, stopped: bool = False) -> None:
        """Report that the platform is unavailable, or has stopped the relay. Raises what `Sender.submit` raises."""
        reason = one_line(reason, REASON_CHARACTERS)
        if stopped or reason != self._failure or self._is_interval_over():
            self._failure = reason
            await self._report(stopped=stopped)

    def _is_interval_over(self) -> bool:
        return monotonic() - self._reported_at >= REPORT_INTERVAL_S

    async def _report(self, *, stopped: bool) -> None:
        now, events = monotonic(), self._sender.sent_events
        sent, within_s = events - self._reported_events, now - self._reported_at
        self._reported_at, self._reported_events, self._has_reported = now, events, True
        await self._sender.submit(RecordPlatformStatus(self._sender.platform, self._failure, stopped, sent, within_s))
