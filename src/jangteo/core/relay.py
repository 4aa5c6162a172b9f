"""What the relay has the shop remember: sent events, the lease, failures. No business is decided here.

All but the lease is noted as it is, and never refused. Each may be noted twice without harm.
"""

from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from jangteo.core.book import Book, Command, Needs, RecordedCommand
from jangteo.core.entities import FailedEvent, Lease

RELAY_LEASE: Final = 1
"""The id of the only lease: there is one platform."""


class MarkSent(Command, frozen=True):
    """Remember that the platform has been sent these event_batches of events."""

    event_batches: tuple[int, ...]

    def decide(self, book: Book) -> None:
        """Never refused."""
        book.sent_event_batches.extend(self.event_batches)


class LeaseOutcome(Struct, frozen=True):
    """Whether the relay that asked holds the lease now."""

    held: bool


class AcquireLease(Command, frozen=True):
    """A relay wants the lease: it gets it unless another relay holds one that has not expired."""

    holder: str
    ttl_s: float

    def name_needs(self, needs: Needs) -> None:
        """The lease as it stands."""
        needs.relay_lease = True

    def decide(self, book: Book) -> LeaseOutcome:
        """Never refused: the outcome may be that another relay holds the lease."""
        lease = book.leases.get(RELAY_LEASE)
        if lease is not None and lease.holder != self.holder and lease.expires_at > book.now:
            return LeaseOutcome(held=False)
        _extend(book, self.holder, self.ttl_s)
        return LeaseOutcome(held=True)


class RenewLease(Command, frozen=True):
    """The holder wants more time: it gets it unless another relay has acquired the lease since."""

    holder: str
    ttl_s: float

    def name_needs(self, needs: Needs) -> None:
        """The lease as it stands."""
        needs.relay_lease = True

    def decide(self, book: Book) -> LeaseOutcome:
        """Never refused: the outcome may be that another relay holds the lease."""
        lease = book.leases.get(RELAY_LEASE)
        if lease is None or lease.holder != self.holder:
            return LeaseOutcome(held=False)
        _extend(book, self.holder, self.ttl_s)
        return LeaseOutcome(held=True)


class ReleaseLease(Command, frozen=True):
    """The holder gives the lease back, so that another relay need not wait until it expires."""

    holder: str

    def name_needs(self, needs: Needs) -> None:
        """The lease as it stands."""
        needs.relay_lease = True

    def decide(self, book: Book) -> LeaseOutcome:
        """Never refused; a lease that is another relay's stays as it is."""
        lease = book.leases.get(RELAY_LEASE)
        if lease is not None and lease.holder == self.holder:
            _extend(book, self.holder, 0)
        return LeaseOutcome(held=False)


def _extend(book: Book, holder: str, ttl_s: float) -> None:
    book.leases.put(RELAY_LEASE, Lease(RELAY_LEASE, holder, book.now + timedelta(seconds=ttl_s)))


class RecordFailures(RecordedCommand, frozen=True):
    """These are not sent with their event_batches, but by themselves."""

    events: tuple[FailedEvent, ...]


class RecordDelivered(RecordedCommand, frozen=True):
    """These were rejected before, and have been sent now."""

    events: tuple[int, ...]


class RetryEvents(RecordedCommand, frozen=True):
    """An operator wants these to be tried again now, as if for the first time."""

    events: tuple[int, ...]


class StartReplay(RecordedCommand, frozen=True):
    """An operator wants what happened in a span of time to be sent again, unless a replay is under way."""

    since: datetime
    until: datetime


class RecordReplayProgress(RecordedCommand, frozen=True):
    """How far a replay has come; never back."""

    replay: int
    done_batch: int
    events: int
    finished: bool


class RecordPlatformStatus(RecordedCommand, frozen=True):
    """What the relay has to say to operators."""

    name: str
    failure: str | None
    stopped: bool
    sent_events: int
    within_s: float
    """So many were sent within so long, up to now."""


class ResumePlatform(RecordedCommand, frozen=True):
    """An operator wants a platform that stopped the relay to be asked again."""


class PurgeEvents(RecordedCommand, frozen=True):
    """These event_batches, as far as they were sent so long ago and nothing of them was rejected, need not be kept."""

    event_batches: tuple[int, ...]
    retention_s: float
