"""Moments as the database keeps them: whole microseconds since 1970, in UTC."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_micros(moment: datetime) -> int:
    """A moment for the database; exact to the microsecond."""
    return (moment - _EPOCH) // _MICROSECOND


def to_micros_or_none(moment: datetime | None) -> int | None:
    """A moment that may be missing, for the database."""
    return None if moment is None else to_micros(moment)


def from_micros(value: int) -> datetime:
    """A moment from the database; exact to the microsecond."""
    return _EPOCH + timedelta(microseconds=value)


def from_micros_or_none(value: int | None) -> datetime | None:
    """A moment that may be missing, from the database."""
    return None if value is None else from_micros(value)
