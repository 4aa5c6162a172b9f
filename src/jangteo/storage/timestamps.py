"""Timestamps as the database stores them: whole microseconds since 1970, in UTC."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_micros(timestamp: datetime) -> int:
    """Convert a timestamp for the database; exact to the microsecond."""
    return (timestamp - _EPOCH) // _MICROSECOND


def to_micros_or_none(timestamp: datetime | None) -> int | None:
    """Convert an optional timestamp for the database."""
    return None if timestamp is None else to_micros(timestamp)


def from_micros(micros: int) -> datetime:
    """Convert a stored timestamp; exact to the microsecond."""
    return _EPOCH + timedelta(microseconds=micros)


def from_micros_or_none(micros: int | None) -> datetime | None:
    """Convert an optional stored timestamp."""
    return None if micros is None else from_micros(micros)
