"""The answers kept for idempotency keys."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from jangteo.storage import schema
from jangteo.storage.port import Insert, Session
from jangteo.storage.timestamps import to_micros

_NEW_ANSWERS = Insert(schema.idempotency_records, ("key", "fingerprint", "kind", "body", "created_at"))


class IdempotencyRecord(NamedTuple):
    """What a key was answered: the request's fingerprint, and the outcome's kind and JSON."""

    key: str
    fingerprint: str
    kind: str
    body: str


def load(session: Session, keys: Collection[str]) -> Iterable[IdempotencyRecord]:
    """The answers kept for these keys."""
    rows = session.find(
        "SELECT key, fingerprint, kind, body FROM idempotency_records WHERE key IN (:ids) ORDER BY key", keys
    )
    return (IdempotencyRecord(*row) for row in rows)


def save(session: Session, answers: Sequence[IdempotencyRecord], now: datetime, delete_before: datetime) -> None:
    """Keep these answers, in the transaction of what they tell of.

    Where new ones come, twice as many of the oldest may go: the table keeps its size without a batch being held up.
    """
    if not answers:
        return
    at = to_micros(now)
    session.insert(_NEW_ANSWERS, [(*answer, at) for answer in answers])
    session.delete(
        schema.idempotency_records,
        "SELECT key FROM idempotency_records WHERE created_at < :before ORDER BY created_at LIMIT :count",
        before=to_micros(delete_before),
        count=2 * len(answers),
    )
