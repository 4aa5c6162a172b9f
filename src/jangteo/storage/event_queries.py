"""Events as operators look at them: how many wait, which are set aside, what one says and what became of it."""

from datetime import datetime
from typing import Final, NamedTuple

from msgspec import Struct

from jangteo.core.limits import LARGEST
from jangteo.storage.chores import read_replay
from jangteo.storage.port import Row, Snapshot
from jangteo.storage.timestamps import from_micros, from_micros_or_none, to_micros

_COLUMNS: Final = """
    outbox.id, outbox.event, event_batches.created_at, event_batches.sent_at,
    failed_events.attempts, failed_events.reason, failed_events.next_attempt_at
"""
_REJECTED: Final = "LEFT JOIN failed_events ON failed_events.id = outbox.id"
# Bundle by event_batch, which CROSS JOIN says to SQLite; and `+` that no index for all of the outbox is to be made for it.
_OF_BATCHES: Final = "outbox.id BETWEEN first_event AND last_event AND +outbox.event_batch_id = event_batches.id"
_ALL: Final = f"""
    SELECT {_COLUMNS} FROM outbox JOIN event_batches ON event_batches.id = outbox.event_batch_id {_REJECTED}
    WHERE outbox.id < :before ORDER BY outbox.id DESC LIMIT :count
"""
_WAITING: Final = f"""
    SELECT {_COLUMNS} FROM event_batches CROSS JOIN outbox {_REJECTED}
    WHERE sent_at IS NULL AND {_OF_BATCHES} AND outbox.id < :before ORDER BY outbox.id DESC LIMIT :count
"""
_NOT_TAKEN: Final = f"""
    SELECT {_COLUMNS} FROM failed_events JOIN outbox ON outbox.id = failed_events.id
    JOIN event_batches ON event_batches.id = outbox.event_batch_id
    WHERE outbox.id < :before ORDER BY outbox.id DESC LIMIT :count
"""
# There is no index for it: the moment of what happened to an order is its event_batch's, and event_batches are small.
_OF_ORDER: Final = f"""
    SELECT {_COLUMNS} FROM orders JOIN event_batches ON event_batches.created_at IN (orders.created_at, orders.cancelled_at)
    CROSS JOIN outbox {_REJECTED}
    WHERE orders.id = :order AND {_OF_BATCHES} AND +outbox.order_id = :order AND outbox.id < :before
    ORDER BY outbox.id DESC LIMIT :count
"""
_OF_ONE_ORDER: Final = 2
"""An order is paid, and may be cancelled."""


class KeptEvent(NamedTuple):
    """An event, and what has become of it."""

    place: int
    text: str
    happened_at: datetime
    sent_at: datetime | None
    attempts: int | None
    """How often the platform has rejected it; None: not once."""
    reason: str | None
    next_attempt_at: datetime | None

    @property
    def is_dead_letter(self) -> bool:
        """Whether it stays here until an operator asks for it."""
        return self.attempts is not None and self.next_attempt_at is None


class PlatformState(Struct, frozen=True, rename="camel"):
    """What the relay last said of the platform."""

    name: str
    sent_events: int
    within_s: float
    reported_at: datetime
    last_error: str | None
    last_error_at: datetime | None
    failing_since: datetime | None
    stopped_at: datetime | None


class ReplayState(Struct, frozen=True, rename="camel"):
    """What is being sent again, and how much of it was."""

    since: datetime
    until: datetime
    sent_events: int


class DeliveryState(Struct, frozen=True, rename="camel"):
    """How events get on."""

    at: datetime
    waiting: int
    oldest_waiting_since: datetime | None
    to_be_retried: int
    dead_letters: int
    kept_since: datetime | None
    purged: int
    replay: ReplayState | None
    platform: PlatformState | None


def read_state(snapshot: Snapshot) -> DeliveryState:
    """All that `jangteo events status` tells."""
    ((waiting,),) = snapshot.rows(
        f"SELECT COUNT(*) FROM event_batches CROSS JOIN outbox WHERE sent_at IS NULL AND {_OF_BATCHES}"
    )
    ((oldest,),) = snapshot.rows("SELECT MIN(created_at) FROM event_batches WHERE sent_at IS NULL")
    ((rejected, again),) = snapshot.rows("SELECT COUNT(*), COUNT(next_attempt_at) FROM failed_events")
    kept_since = snapshot.rows("SELECT created_at FROM event_batches ORDER BY id LIMIT 1")
    replay = read_replay(snapshot)
    ((purged,),) = snapshot.rows("SELECT events FROM purged_events WHERE id = 1")
    return DeliveryState(
        at=snapshot.now,
        waiting=waiting,
        oldest_waiting_since=from_micros_or_none(oldest),
        to_be_retried=again,
        dead_letters=rejected - again,
        kept_since=from_micros(kept_since[0][0]) if kept_since else None,
        purged=purged,
        replay=None if replay is None else ReplayState(replay.since, replay.until, replay.events),
        platform=_read_platform(snapshot),
    )


def read_events(snapshot: Snapshot, before: int | None, limit: int) -> list[KeptEvent]:
    """The newest events before a place."""
    return _events(snapshot.rows(_ALL, before=before or LARGEST, count=limit))


def read_waiting_events(snapshot: Snapshot, before: int | None, limit: int) -> list[KeptEvent]:
    """The newest of those that wait to be sent."""
    return _events(snapshot.rows(_WAITING, before=before or LARGEST, count=limit))


def read_failed_events(snapshot: Snapshot, before: int | None, limit: int) -> list[KeptEvent]:
    """The newest of those that the platform has rejected: to be tried again, or set aside."""
    return _events(snapshot.rows(_NOT_TAKEN, before=before or LARGEST, count=limit))


def read_events_of(snapshot: Snapshot, order_id: int) -> list[KeptEvent]:
    """The events of an order that are still kept, the newest first."""
    return _events(snapshot.rows(_OF_ORDER, order=order_id, before=LARGEST, count=_OF_ONE_ORDER))


def read_dead_letters(snapshot: Snapshot, limit: int) -> list[int]:
    """The places of the first events that are set aside."""
    rows = snapshot.rows(
        "SELECT id FROM failed_events WHERE next_attempt_at IS NULL ORDER BY id LIMIT :count", count=limit
    )
    return [place for (place,) in rows]


def count_sent(snapshot: Snapshot, since: datetime, until: datetime) -> int:
    """How many events of a span of time a replay would send again."""
    ((count,),) = snapshot.rows(
        f"""
        SELECT COUNT(*) FROM event_batches CROSS JOIN outbox
        WHERE created_at >= :since AND created_at < :until AND sent_at IS NOT NULL AND {_OF_BATCHES}
            AND NOT EXISTS (SELECT 1 FROM failed_events WHERE failed_events.id = outbox.id)
        """,
        since=to_micros(since),
        until=to_micros(until),
    )
    return int(count)


def _events(rows: list[Row]) -> list[KeptEvent]:
    return [
        KeptEvent(
            place, text, from_micros(happened), from_micros_or_none(sent), attempts, reason, from_micros_or_none(again)
        )
        for place, text, happened, sent, attempts, reason, again in rows
    ]


def _read_platform(snapshot: Snapshot) -> PlatformState | None:
    rows = snapshot.rows(
        """
        SELECT name, sent_events, within_us, reported_at, failure, failed_at, failing_since, stopped_at
        FROM platforms WHERE id = 1
        """
    )
    if not rows:
        return None
    name, sent_events, within_us, reported_at, failure, failed_at, failing_since, stopped_at = rows[0]
    return PlatformState(
        name=name,
        sent_events=sent_events,
        within_s=within_us / 1_000_000,
        reported_at=from_micros(reported_at),
        last_error=failure,
        last_error_at=from_micros_or_none(failed_at),
        failing_since=from_micros_or_none(failing_since),
        stopped_at=from_micros_or_none(stopped_at),
    )
