"""The lines that `jangteo events` prints about deliveries and single events."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final, Literal, Self

from msgspec import Struct

from jangteo.cli.event_ids import id_of
from jangteo.storage.event_queries import DeliveryState, KeptEvent
from jangteo.storage.platform_status import PlatformState

_CURRENT_S: Final = 10
"""A report that is older says nothing about the current rate."""


def status_lines(state: DeliveryState) -> Iterator[str]:
    """Yield the lines of `jangteo events status`."""
    oldest = state.oldest_waiting_since
    since = "" if oldest is None else f", the oldest for {(state.at - oldest).total_seconds():,.1f} s"
    yield f"waiting       {state.waiting:,}{since}"
    yield f"retrying      {state.retrying:,}"
    hint = " (jangteo events list --dead-letters)" if state.dead_letters else ""
    yield f"dead letters  {state.dead_letters:,}{hint}"
    kept = "" if state.kept_since is None else f"since {timestamp(state.kept_since)}, "
    yield f"kept          {kept}{state.purged:,} purged"
    if state.replay is not None:
        span = f"{timestamp(state.replay.since)} to {timestamp(state.replay.until)}"
        yield f"replay        {state.replay.sent_events:,} sent again so far, of {span}"
    if state.platform is None:
        yield "platform      no relay has run yet"
    else:
        yield from _platform_lines(state.platform, state.at)


def _platform_lines(platform: PlatformState, now: datetime) -> Iterator[str]:
    is_current = (now - platform.reported_at).total_seconds() < _CURRENT_S
    rate = platform.sent_events / platform.within_s if is_current and platform.within_s else 0
    yield f"platform      {platform.name}"
    yield f"rate          {rate:,.0f} events/s"
    if platform.stopped_at is not None:
        yield f"STOPPED       since {timestamp(platform.stopped_at)}: jangteo events resume sends to it again"
    elif platform.failing_since is not None:
        yield f"FAILING       since {timestamp(platform.failing_since)}"
    if platform.last_error is not None and platform.last_error_at is not None:
        yield f"last error    {timestamp(platform.last_error_at)}: {platform.last_error}"


class EventStatus(Struct, frozen=True, rename="camel"):
    """An event's delivery status, for programs."""

    outbox_id: int
    id: str
    happened_at: datetime
    status: Literal["waiting", "sent", "retrying", "dead letter"]
    sent_at: datetime | None
    attempts: int | None
    reason: str | None
    next_attempt_at: datetime | None

    @classmethod
    def of(cls, event: KeptEvent) -> Self:
        """Return the status of an event in the outbox."""
        return cls(
            outbox_id=event.outbox_id,
            id=id_of(event),
            happened_at=event.happened_at,
            status=_status_of(event),
            sent_at=event.sent_at,
            attempts=event.attempts,
            reason=event.reason,
            next_attempt_at=event.next_attempt_at,
        )


def _status_of(event: KeptEvent) -> Literal["waiting", "sent", "retrying", "dead letter"]:
    if event.attempts is not None:
        return "dead letter" if event.is_dead_letter else "retrying"
    return "waiting" if event.sent_at is None else "sent"


def delivery_status(event: KeptEvent) -> str:
    """Return whether an event waits, was sent, is being retried or is a dead letter."""
    if event.is_dead_letter:
        return f"dead letter after {event.attempts} attempts: {event.reason}"
    if event.next_attempt_at is not None:
        return f"retrying at {timestamp(event.next_attempt_at)}: {event.reason}"
    return "waiting" if event.sent_at is None else f"sent at {timestamp(event.sent_at)}"


def timestamp(at: datetime) -> str:
    """Return a UTC time to the second, like 2026-11-24T09:30:00Z."""
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
