"""What the relay looks after besides new events: those to be tried again, a replay, and what may be purged."""

from datetime import datetime, timedelta
from typing import Final, NamedTuple

from jangteo.storage.port import Snapshot
from jangteo.storage.timestamps import from_micros, to_micros

PURGE_CHUNK: Final = 256
"""So many event_batches are looked at for one bite; and of so many events a bite is, about."""


class DueRetry(NamedTuple):
    """An event that was rejected, and is to be sent again now."""

    event: int
    order_id: int
    attempts: int
    text: str


class Replay(NamedTuple):
    """What an operator wants to be sent again, and how far it has come."""

    replay: int
    since: datetime
    until: datetime
    done_batch: int
    last_batch: int
    events: int


class Known(NamedTuple):
    """What a relay must know before it sends anything."""

    pending_retries: list[tuple[int, int]]
    """The order and the event of each that is to be tried again, now or later."""
    stopped: bool
    """Whether the platform has stopped the relay, and no operator has resumed it."""


class Maintenance(NamedTuple):
    """All there is to do now."""

    stopped: bool
    retries: list[DueRetry]
    """Not those that an earlier one of their order has to go before."""
    replay: Replay | None


class Purgeable(NamedTuple):
    """EventBatches that were sent long enough ago, and where to look next."""

    event_batches: tuple[int, ...]
    looked_up_to: int


def read_known(snapshot: Snapshot, platform: str) -> Known:
    """What there is to know for a platform of this name."""
    rows = snapshot.rows("SELECT order_id, id FROM failed_events WHERE next_attempt_at IS NOT NULL")
    return Known([(order_id, event) for order_id, event in rows], _is_stopped(snapshot, platform))


def read_due(snapshot: Snapshot, platform: str, limit: int) -> Maintenance:
    """What there is to do for a platform of this name; at most `limit` events to be tried again."""
    retries = snapshot.rows(
        """
        SELECT failed_events.id, failed_events.order_id, attempts, event
        FROM failed_events JOIN outbox ON outbox.id = failed_events.id
        WHERE next_attempt_at <= :now AND NOT EXISTS (
            SELECT 1 FROM failed_events AS earlier
            WHERE earlier.order_id = failed_events.order_id AND earlier.id < failed_events.id
                AND earlier.next_attempt_at IS NOT NULL
        )
        ORDER BY next_attempt_at, failed_events.id LIMIT :count
        """,
        now=to_micros(snapshot.now),
        count=limit,
    )
    return Maintenance(_is_stopped(snapshot, platform), [DueRetry(*row) for row in retries], read_replay(snapshot))


def read_replay(snapshot: Snapshot) -> Replay | None:
    """The replay that is under way."""
    rows = snapshot.rows(
        """
        SELECT id, since, until, done_batch, last_batch, events FROM replays
        WHERE finished_at IS NULL ORDER BY id LIMIT 1
        """
    )
    return Replay(rows[0][0], from_micros(rows[0][1]), from_micros(rows[0][2]), *rows[0][3:]) if rows else None


def read_replayed(snapshot: Snapshot) -> int:
    """How many events the latest replay has sent."""
    rows = snapshot.rows("SELECT events FROM replays ORDER BY id DESC LIMIT 1")
    return rows[0][0] if rows else 0


def read_purgeable(snapshot: Snapshot, after: int, retention: timedelta) -> Purgeable | None:
    """The next event_batches behind `after`; None where they are not that old.

    Never the newest of all: from it new ids are counted on.
    """
    rows = snapshot.rows(
        """
        SELECT id, last_event - first_event + 1, created_at, sent_at FROM event_batches
        WHERE id > :after AND id < (SELECT MAX(id) FROM event_batches)
        ORDER BY id LIMIT :count
        """,
        after=after,
        count=PURGE_CHUNK,
    )
    before, events, last, event_batches = to_micros(snapshot.now - retention), 0, 0, []
    for event_batch_id, size, created_at, sent_at in rows:
        if created_at >= before or events >= PURGE_CHUNK:
            break
        last = event_batch_id
        if sent_at is not None and sent_at < before:
            events += size
            event_batches.append(event_batch_id)
    return Purgeable(tuple(event_batches), last) if last else None


def _is_stopped(snapshot: Snapshot, platform: str) -> bool:
    sql = "SELECT 1 FROM platforms WHERE id = 1 AND name = :platform AND stopped_at IS NOT NULL"
    return bool(snapshot.rows(sql, platform=platform))
