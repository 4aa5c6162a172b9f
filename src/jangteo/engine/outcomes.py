"""Outcomes as JSON with the name of their type: stored as idempotency records, and sent by the writer to the clients.

An outcome is encoded once, where it was decided; whoever passes it on passes on its text.
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
    Ready,
    LeaseOutcome,
    RefreshOutcome,
    type(None),
)
_REFUSALS: Final = {each.__name__: each for each in refusals.Refusal.__subclasses__()}
_BY_KIND: Final[dict[str, type]] = {each.__name__: each for each in _RESULTS} | _REFUSALS
_encode = msgspec.json.Encoder().encode


class SerializedOutcome(NamedTuple):
    """An outcome: its type's name and its JSON. `replayed`: it is that of an earlier request with the same key."""

    kind: str
    body: bytes
    replayed: bool = False

    def refusal(self) -> Refusal | None:
        """The refusal, if the outcome is one."""
        refusal = _REFUSALS.get(self.kind)
        return None if refusal is None else msgspec.json.decode(self.body, type=refusal)

    def value(self) -> Any:
        """The outcome as it was decided."""
        return msgspec.json.decode(self.body, type=_BY_KIND[self.kind])


def serialize(outcome: object) -> SerializedOutcome:
    """Encode an outcome."""
    return SerializedOutcome(type(outcome).__name__, _encode(outcome))


def fingerprint_of(command: Command) -> str:
    """Equal for equal requests: which command it is and all its fields, however the JSON of the request was spelled."""
    return blake2b(msgspec.msgpack.encode(command), digest_size=16).hexdigest()


def to_record(key: str, fingerprint: str, outcome: SerializedOutcome) -> IdempotencyRecord:
    """The record to store for a key."""
    return IdempotencyRecord(key, fingerprint, outcome.kind, outcome.body.decode())


def from_record(record: IdempotencyRecord) -> SerializedOutcome:
    """The outcome of the earlier request."""
    return SerializedOutcome(record.kind, record.body.encode(), replayed=True)
