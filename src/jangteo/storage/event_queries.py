"""What operators ask about events: how many wait, which failed, what one says and whether it was sent."""

from datetime import datetime
from typing import Final, NamedTuple

from msgspec import Struct

from jangteo.core.limits import LARGEST
from jangteo.storage.platform_status import PlatformState, read_platform
from jangteo.storage.port import Row, Snapshot
from jangteo.storage.replay import read_replay
from jangteo.storage.timestamps import from_micros, from_micros_or_none, to_micros

_COLUMNS: Final = """
    outbox.id, outbox.event, event_batches.created_at, event_batches.sent_at,
    failed_events.attempts, failed_events.reason, failed_events.next_attempt_at
"""
_FAILED: Final = "LEFT JOIN failed_events ON failed_events.id = outbox.id"
# CROSS JOIN makes SQLite go from batch to batch; `+` keeps it from building an index of the whole outbox each time.
_OF_BATCHES: Final = "outbox.id BETWEEN first_event AND last_event AND +outbox.event_batch_id = event_batches.id"
_ALL: Final = f"""
    SELECT {_COLUMNS} FROM outbox JOIN event_batches ON event_batches.id = outbox.event_batch_id {_FAILED}
    WHERE outbox.id < :before ORDER BY outbox.id DESC LIMIT :count
"""
_WAITING: Final = f"""
    SELECT {_COLUMNS} FROM event_batches CROSS JOIN outbox {_FAILED}
    WHERE sent_at IS NULL AND {_OF_BATCHES} AND outbox.id < :before ORDER BY outbox.id DESC LIMIT :count
"""
_ONLY_FAILED: Final = f"""
    SELECT {_COLUMNS} FROM failed_events JOIN outbox ON outbox.id = failed_events.id
    JOIN event_batches ON event_batches.id = outbox.event_batch_id
    WHERE outbox.id < :before ORDER BY outbox.id DESC LIMIT :count
"""
# Without an index of the outbox by order: an order's timestamps are those of its event batches, and these are small.
_OF_ORDER: Final = f"""
    SELECT {_COLUMNS} FROM orders
    JOIN event_batches ON event_batches.created_at IN (orders.created_at, orders.cancelled_at)
    CROSS JOIN outbox {_FAILED}
    WHERE orders.id = :order AND {_OF_BATCHES} AND +outbox.order_id = :order AND outbox.id < :before
    ORDER BY outbox.id DESC LIMIT :count
"""
_OF_ONE_ORDER: Final = 2
"""Paid, and perhaps cancelled."""


class KeptEvent(NamedTuple):
    """An event in the outbox, with its delivery status."""

    outbox_id: int
    text: str
    happened_at: datetime
    sent_at: datetime | None
    attempts: int | None
    """How often a failed event was sent; None: it has not failed."""
    reason: str | None
    next_attempt_at: datetime | None

    @property
    def is_dead_letter(self) -> bool:
        """Whether it failed and has no next attempt."""
        return self.attempts is not None and self.next_attempt_at is None


class ReplayState(Struct, frozen=True, rename="camel"):
    """The unfinished replay."""

    since: datetime
    until: datetime
    sent_events: int


class DeliveryState(Struct, frozen=True, rename="camel"):
    """The state of the outbox, the retry queue and the platform."""

    at: datetime
    waiting: int
    oldest_waiting_since: datetime | None
    retrying: int
    dead_letters: int
    kept_since: datetime | None
    purged: int
    replay: ReplayState | None
    platform: PlatformState | None


def read_state(snapshot: Snapshot) -> DeliveryState:
    """Return what `jangteo events status` shows."""
    ((waiting,),) = snapshot.rows(
        f"SELECT COUNT(*) FROM event_batches CROSS JOIN outbox WHERE sent_at IS NULL AND {_OF_BATCHES}"
    )
    ((oldest,),) = snapshot.rows("SELECT MIN(created_at) FROM event_batches WHERE sent_at IS NULL")
    ((failed, retrying),) = snapshot.rows("SELECT COUNT(*), COUNT(next_attempt_at) FROM failed_events")
    kept_since = snapshot.rows("SELECT created_at FROM event_batches ORDER BY id LIMIT 1")
    replay = read_replay(snapshot)
    ((purged,),) = snapshot.rows("SELECT events FROM purged_events WHERE id = 1")
    return DeliveryState(
        at=snapshot.now,
        waiting=waiting,
        oldest_waiting_since=from_micros_or_none(oldest),
        retrying=retrying,
        dead_letters=failed - retrying,
        kept_since=from_micros(kept_since[0][0]) if kept_since else None,
        purged=purged,
        replay=None if replay is None else ReplayState(replay.since, replay.until, replay.sent_events),
        platform=read_platform(snapshot),
    )


def read_events(snapshot: Snapshot, before: int | None, limit: int) -> list[KeptEvent]:
    """Return the newest events with an outbox id below `before`, newest first."""
    return _events(snapshot.rows(_ALL, before=before or LARGEST, count=limit))


def read_waiting_events(snapshot: Snapshot, before: int | None, limit: int) -> list[KeptEvent]:
    """Return the newest events that are not marked as sent, newest first."""
    return _events(snapshot.rows(_WAITING, before=before or LARGEST, count=limit))


def read_failed_events(snapshot: Snapshot, before: int | None, limit: int) -> list[KeptEvent]:
    """Return the newest failed events, retrying or dead letters, newest first."""
    return _events(snapshot.rows(_ONLY_FAILED, before=before or LARGEST, count=limit))


def read_events_of(snapshot: Snapshot, order_id: int) -> list[KeptEvent]:
    """Return an order's events that have not been purged, newest first."""
    return _events(snapshot.rows(_OF_ORDER, order=order_id, before=LARGEST, count=_OF_ONE_ORDER))


def count_sent(snapshot: Snapshot, since: datetime, until: datetime) -> int:
    """Return how many events a replay of this span of time would send."""
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
            outbox_id=outbox_id,
            text=text,
            happened_at=from_micros(created_at),
            sent_at=from_micros_or_none(sent_at),
            attempts=attempts,
            reason=reason,
            next_attempt_at=from_micros_or_none(next_attempt_at),
        )
        for outbox_id, text, created_at, sent_at, attempts, reason, next_attempt_at in rows
    ]
