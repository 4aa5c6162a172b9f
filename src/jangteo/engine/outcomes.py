"""Outcomes as they are kept for idempotency keys: written as JSON, read back as the very same values."""

from hashlib import blake2b
from typing import Any, Final

import msgspec

from jangteo.core import refusals
from jangteo.core.book import Command
from jangteo.core.coupons import CampaignStanding, HeldCoupon
from jangteo.core.rows import Order, Product
from jangteo.core.wallets import UserBalance
from jangteo.storage.answers import KeptAnswer

_TYPES: Final[tuple[type, ...]] = (
    UserBalance,
    Product,
    CampaignStanding,
    HeldCoupon,
    Order,
    *refusals.Refusal.__subclasses__(),
)
_BY_KIND: Final = {each.__name__: each for each in _TYPES}


def fingerprint_of(command: Command) -> str:
    """Equal for equal requests: which command it is and everything it says, however its JSON was spelled."""
    said = msgspec.msgpack.encode((type(command).__name__, command))
    return blake2b(said, digest_size=16).hexdigest()


def kept(key: str, fingerprint: str, outcome: object) -> KeptAnswer:
    """An outcome to be stored."""
    kind = type(outcome).__name__
    return KeptAnswer(key, fingerprint, kind, msgspec.json.encode(outcome).decode())


def recalled(answer: KeptAnswer) -> Any:
    """The outcome that was stored."""
    return msgspec.json.decode(answer.body, type=_BY_KIND[answer.kind])
