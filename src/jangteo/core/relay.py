"""Commands of the relay and of operators: sent events, the lease, failures, replays, platform status, purges.

Only the lease is decided here; storage writes everything else as it is recorded. Every command is idempotent, because a
relay repeats one whose outcome it did not learn.
"""

from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from jangteo.core.book import Book, Command, Needs, RecordedCommand
from jangteo.core.entities import FailedEvent, Lease

RELAY_LEASE: Final = 1
"""The id of the only lease: a shop has one platform."""


class MarkSent(Command, frozen=True):
    """Mark event batches as sent."""

    event_batches: tuple[int, ...]

    def decide(self, book: Book) -> None:
        """Never refused."""
        book.sent_event_batches.extend(self.event_batches)


class LeaseOutcome(Struct, frozen=True):
    """Whether the relay that sent the command holds the lease now."""

    held: bool


class _NeedsLease:
    """What the commands that decide about the lease have in common."""

    __slots__ = ()

    def name_needs(self, needs: Needs) -> None:
        """Needs the lease."""
        needs.relay_lease = True


class AcquireLease(_NeedsLease, Command, frozen=True):
    """Acquire the lease, unless another relay holds it and it has not expired."""

    holder: str
    ttl_s: float

    def decide(self, book: Book) -> LeaseOutcome:
        """Never refused: the outcome may be that another relay holds the lease."""
        lease = book.leases.get(RELAY_LEASE)
        if lease is not None and lease.holder != self.holder and lease.expires_at > book.now:
            return LeaseOutcome(held=False)
        _extend(book, self.holder, self.ttl_s)
        return LeaseOutcome(held=True)


class RenewLease(_NeedsLease, Command, frozen=True):
    """Extend the holder's lease, unless another relay has acquired it since."""

    holder: str
    ttl_s: float

    def decide(self, book: Book) -> LeaseOutcome:
        """Never refused: the outcome may be that another relay holds the lease."""
        lease = book.leases.get(RELAY_LEASE)
        if lease is None or lease.holder != self.holder:
            return LeaseOutcome(held=False)
        _extend(book, self.holder, self.ttl_s)
        return LeaseOutcome(held=True)


class ReleaseLease(_NeedsLease, Command, frozen=True):
    """Expire the holder's lease now, so that another relay need not wait for it."""

    holder: str

    def decide(self, book: Book) -> LeaseOutcome:
        """Never refused: another relay's lease stays as it is."""
        lease = book.leases.get(RELAY_LEASE)
        if lease is not None and lease.holder == self.holder:
            _extend(book, self.holder, 0)
        return LeaseOutcome(held=False)


def _extend(book: Book, holder: str, ttl_s: float) -> None:
    book.leases.put(RELAY_LEASE, Lease(RELAY_LEASE, holder, book.now + timedelta(seconds=ttl_s)))


class RecordFailures(RecordedCommand, frozen=True):
    """Put events into the retry queue, or update them there."""

    events: tuple[FailedEvent, ...]


class RecordDelivered(RecordedCommand, frozen=True):
    """Remove failed events that have been delivered from the retry queue."""

    outbox_ids: tuple[int, ...]


class RetryEvents(RecordedCommand, frozen=True):
    """Make failed events due now, with their attempts reset. Operators submit it."""

    outbox_ids: tuple[int, ...]


class StartReplay(RecordedCommand, frozen=True):
    """Start sending the events of a span of time again, unless a replay is unfinished. Operators submit it."""

    since: datetime
    until: datetime


class RecordReplayProgress(RecordedCommand, frozen=True):
    """Record how far a replay has got; it never moves back."""

    replay_id: int
    done_batch: int
    sent_events: int
    finished: bool


class RecordPlatformStatus(RecordedCommand, frozen=True):
    """Record what the relay reports about the platform."""

    name: str
    failure: str | None
    stopped: bool
    sent_events: int
    within_s: float
    """`sent_events` were sent in the last `within_s` seconds."""


class ResumePlatform(RecordedCommand, frozen=True):
    """Send to a platform again that has stopped the relay. Operators submit it."""


class PurgeEvents(RecordedCommand, frozen=True):
    """Delete event batches that were sent longer than the retention ago and have no failed event."""

    event_batches: tuple[int, ...]
    retention_s: float
