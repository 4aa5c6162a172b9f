"""Idempotency records in SQL."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from jangteo.core.actors import OPEN_ACTOR
from jangteo.storage import schema
from jangteo.storage.port import Insert, Session
from jangteo.storage.timestamps import to_micros

_NEW_RECORDS = Insert(schema.idempotency_records, ("key", "fingerprint", "kind", "body", "created_at"))


class IdempotencyRecord(NamedTuple):
    """The stored outcome of the first request with an idempotency key."""

    key: str
    """The `owned_key`."""
    fingerprint: str
    """A hash of the request's command and its fields."""
    kind: str
    """The name of the outcome's type."""
    body: str
    """The outcome as JSON."""


def owned_key(actor: str, key: str) -> str:
    """Return the key as it is stored: with its owner before it, since two callers' equal keys are two keys.

    A key has no space in it, so no key reads as another owner's. Without an owner are those of a shop that is open to
    all: so they were stored before there were owners.
    """
    return key if actor == OPEN_ACTOR else f"{actor} {key}"


def load(session: Session, keys: Collection[str]) -> Iterable[IdempotencyRecord]:
    """Load the records of these keys."""
    rows = session.find(
        "SELECT key, fingerprint, kind, body FROM idempotency_records WHERE key IN (:ids) ORDER BY key", keys
    )
    return (IdempotencyRecord(*row) for row in rows)


def save(session: Session, records: Sequence[IdempotencyRecord], now: datetime, delete_before: datetime) -> None:
    """Write new records in the transaction of the commands themselves, and delete old ones.

    At most twice as many of those from before `delete_before` are deleted, which bounds the table's size without
    delaying a batch for long.
    """
    if not records:
        return
    at = to_micros(now)
    session.insert(_NEW_RECORDS, [(*record, at) for record in records])
    session.delete(
        schema.idempotency_records,
        "SELECT key FROM idempotency_records WHERE created_at < :before ORDER BY created_at LIMIT :count",
        before=to_micros(delete_before),
        count=2 * len(records),
    )
