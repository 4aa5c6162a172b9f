"""Outcomes in writing: as JSON, with the name of what they are. So they are kept for idempotency keys, and so they
come back from the process that decides.
"""

from hashlib import blake2b
from typing import Any, Final, NamedTuple

import msgspec

from jangteo.core import refusals
from jangteo.core.book import Command
from jangteo.core.coupons import CampaignStanding, HeldCoupon
from jangteo.core.entities import Order, Product
from jangteo.core.refusals import Refusal
from jangteo.core.wallets import UserBalance
from jangteo.storage.idempotency import IdempotencyRecord

_RESULTS: Final[tuple[type, ...]] = (UserBalance, Product, CampaignStanding, HeldCoupon, Order)
_REFUSALS: Final = {each.__name__: each for each in refusals.Refusal.__subclasses__()}
_BY_KIND: Final = {each.__name__: each for each in _RESULTS} | _REFUSALS
_encode = msgspec.json.Encoder().encode


class SerializedOutcome(NamedTuple):
    """An outcome in writing: its type's name and its JSON. `replayed`: it is that of an earlier request."""

    kind: str
    body: bytes
    replayed: bool = False

    def refusal(self) -> Refusal | None:
        """The refusal that it is, if it is one."""
        refusal = _REFUSALS.get(self.kind)
        return None if refusal is None else msgspec.json.decode(self.body, type=refusal)


def told(outcome: object, *, replayed: bool) -> SerializedOutcome:
    """Put an outcome in writing."""
    return SerializedOutcome(type(outcome).__name__, _encode(outcome), replayed)


def fingerprint_of(command: Command) -> str:
    """Equal for equal requests: which command it is and everything it says, however its JSON was spelled."""
    said = msgspec.msgpack.encode((type(command).__name__, command))
    return blake2b(said, digest_size=16).hexdigest()


def kept(key: str, fingerprint: str, outcome: object) -> IdempotencyRecord:
    """An outcome to be stored."""
    kind, body, _ = told(outcome, replayed=False)
    return IdempotencyRecord(key, fingerprint, kind, body.decode())


def recalled(answer: IdempotencyRecord) -> Any:
    """The outcome that was stored."""
    return msgspec.json.decode(answer.body, type=_BY_KIND[answer.kind])
