"""What the relay last reported about the platform, and whether the platform has stopped it."""

from datetime import datetime
from typing import Final

from msgspec import Struct

from jangteo.core.relay import RecordPlatformStatus, ResumePlatform
from jangteo.storage.port import Session, Snapshot
from jangteo.storage.timestamps import from_micros, from_micros_or_none

_SECOND_US: Final = 1_000_000


class PlatformState(Struct, frozen=True, rename="camel"):
    """The relay's last report about the platform."""

    name: str
    sent_events: int
    within_s: float
    """`sent_events` were sent in this many seconds before `reported_at`."""
    reported_at: datetime
    last_error: str | None
    last_error_at: datetime | None
    failing_since: datetime | None
    stopped_at: datetime | None


def read_stopped(snapshot: Snapshot, platform: str) -> bool:
    """Tell whether the platform of this name has stopped the relay and no operator has resumed it."""
    sql = "SELECT 1 FROM platforms WHERE id = 1 AND name = :platform AND stopped_at IS NOT NULL"
    return bool(snapshot.rows(sql, platform=platform))


def read_platform(snapshot: Snapshot) -> PlatformState | None:
    """Return the last report; None before the first one."""
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
        within_s=within_us / _SECOND_US,
        reported_at=from_micros(reported_at),
        last_error=failure,
        last_error_at=from_micros_or_none(failed_at),
        failing_since=from_micros_or_none(failing_since),
        stopped_at=from_micros_or_none(stopped_at),
    )


def save_status(session: Session, command: RecordPlatformStatus, now: int) -> None:
    """Replace the last report.

    The times of the last failure, the first failure in a row and the stop are kept from earlier reports of the same
    platform. `now` is in microseconds.
    """
    session.run(
        """
        INSERT INTO platforms
            (id, name, failure, failed_at, failing_since, stopped_at, sent_events, within_us, reported_at)
        VALUES (1, :name, NULLIF(:failure, ''), :failed_at, :failed_at, :stopped_at, :events, :within, :now)
        ON CONFLICT (id) DO UPDATE SET name = excluded.name,
            failure = COALESCE(excluded.failure, CASE platforms.name WHEN excluded.name THEN platforms.failure END),
            failed_at = COALESCE(
                excluded.failed_at, CASE platforms.name WHEN excluded.name THEN platforms.failed_at END
            ),
            failing_since = CASE WHEN excluded.failure IS NULL THEN NULL
                WHEN platforms.name = excluded.name THEN COALESCE(platforms.failing_since, excluded.failing_since)
                ELSE excluded.failing_since END,
            stopped_at = CASE WHEN excluded.stopped_at IS NULL THEN NULL
                WHEN platforms.name = excluded.name THEN COALESCE(platforms.stopped_at, excluded.stopped_at)
                ELSE excluded.stopped_at END,
            sent_events = excluded.sent_events, within_us = excluded.within_us, reported_at = excluded.reported_at
        """,
        name=command.name,
        failure=command.failure or "",
        failed_at=None if command.failure is None else now,
        stopped_at=now if command.stopped else None,
        events=command.sent_events,
        within=int(command.within_s * _SECOND_US),
        now=now,
    )


def save_resume(session: Session, _command: ResumePlatform, _now: int) -> None:
    """Clear the stop, so that the relay sends again."""
    session.run("UPDATE platforms SET stopped_at = NULL WHERE id = 1")
