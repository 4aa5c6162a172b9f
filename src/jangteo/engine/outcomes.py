"""Outcomes as JSON with the name of their type: stored as idempotency records and sent to clients.

An outcome is encoded once, by the writer that decided it; everything after that passes the bytes on.
"""

from hashlib import blake2b
from typing import Any, Final, NamedTuple

import msgspec

from jangteo.core import refusals
from jangteo.core.best_sellers import RefreshOutcome
from jangteo.core.book import Command
from jangteo.core.coupons import CampaignStanding, HeldCoupon
from jangteo.core.entities import Order, Product
from jangteo.core.health import Ready
from jangteo.core.keys import KeyStanding
from jangteo.core.refusals import Refusal
from jangteo.core.relay import LeaseOutcome
from jangteo.core.wallets import UserBalance
from jangteo.storage.idempotency import IdempotencyRecord

_RESULTS: Final[tuple[type, ...]] = (
    UserBalance,
    Product,
    CampaignStanding,
    HeldCoupon,
    Order,
    KeyStanding,
    Ready,
    LeaseOutcome,
    RefreshOutcome,
    type(None),
)
_REFUSALS: Final = {each.__name__: each for each in refusals.Refusal.__subclasses__()}
_BY_KIND: Final[dict[str, type]] = {each.__name__: each for each in _RESULTS} | _REFUSALS
_encode = msgspec.json.Encoder().encode


class SerializedOutcome(NamedTuple):
    """An encoded outcome."""

    kind: str
    """The name of the outcome's type."""
    body: bytes
    """The outcome as JSON."""
    replayed: bool = False
    """Whether it is the outcome of an earlier request with the same idempotency key."""

    def refusal(self) -> Refusal | None:
        """Decode the refusal; None if the outcome is a result."""
        refusal = _REFUSALS.get(self.kind)
        return None if refusal is None else msgspec.json.decode(self.body, type=refusal)

    def value(self) -> Any:
        """Decode the outcome."""
        return msgspec.json.decode(self.body, type=_BY_KIND[self.kind])


def serialize(outcome: object) -> SerializedOutcome:
    """Encode an outcome."""
    return SerializedOutcome(type(outcome).__name__, _encode(outcome))


def fingerprint_of(command: Command) -> str:
    """Return a hash of the command and its fields: equal requests have equal ones, however their JSON was spelled."""
    return blake2b(msgspec.msgpack.encode(command.requested()), digest_size=16).hexdigest()


def to_record(key: str, fingerprint: str, outcome: SerializedOutcome) -> IdempotencyRecord:
    """Make the idempotency record of an outcome."""
    return IdempotencyRecord(key, fingerprint, outcome.kind, outcome.body.decode())


def from_record(record: IdempotencyRecord) -> SerializedOutcome:
    """Return the stored outcome, marked as replayed."""
    return SerializedOutcome(record.kind, record.body.encode(), replayed=True)
