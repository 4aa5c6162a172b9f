"""Customer tokens that the shop itself gives: signed by a key of its own, which is in the database."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final, NamedTuple

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt import PyJWK
from jwt.algorithms import OKPAlgorithm

from jangteo.api.access.cached_keys import KeysUnavailable
from jangteo.api.access.customer_tokens import OWN_KEY_PREFIX, Issuer
from jangteo.api.tokens import CustomerToken, TokenRequest
from jangteo.core.refusals import UserNotFound
from jangteo.engine.reads import Reads
from jangteo.redaction import redaction
from jangteo.storage.port import Query
from jangteo.storage.shop import read_token_seed
from jangteo.storage.wallets import user_exists

NAME: Final = "jangteo"
"""The shop's name as an issuer, and as an audience."""


class _Key(NamedTuple):
    key_id: str
    private: Ed25519PrivateKey
    public: PyJWK


class ShopTokens:
    """Gives customers' tokens. It is also the `Keys` that verify them."""

    def __init__(self, reads: Reads, clock: Callable[[], float] = time.time) -> None:
        """`clock` is in seconds since 1970."""
        self._reads = reads
        self._clock = clock
        self._key: _Key | None = None
        self.version = 1

    @property
    def issuer(self) -> Issuer:
        """The shop as an issuer."""
        return Issuer(self, NAME, NAME)

    async def find(self, key_id: str | None) -> PyJWK | None:
        """Return the shop's public key, if it has this id. Raises as `Reads.run`."""
        key = await self._own_key()
        return key.public if key_id == key.key_id else None

    async def give(self, request: TokenRequest) -> CustomerToken | UserNotFound:
        """Give a token for a user. Raises as `Reads.run`."""
        if not await self._reads.run(Query(user_exists, (request.user_id,))):
            return UserNotFound(request.user_id)
        key = await self._own_key()
        now = int(self._clock())
        ends_at = now + request.valid_seconds
        claims = {"iss": NAME, "aud": NAME, "sub": str(request.user_id), "iat": now, "exp": ends_at}
        token = jwt.encode(claims, key.private, "EdDSA", headers={"kid": key.key_id})
        return CustomerToken(request.user_id, token, datetime.fromtimestamp(ends_at, UTC))

    async def _own_key(self) -> _Key:
        if self._key is None:
            seed = await self._reads.run(Query(read_token_seed))
            if seed is None:
                raise KeysUnavailable
            redaction.hide([seed])
            self._key = _key_of(bytes.fromhex(seed))
        return self._key


def _key_of(seed: bytes) -> _Key:
    private = Ed25519PrivateKey.from_private_bytes(seed)
    public = private.public_key()
    jwk: dict[str, Any] = msgspec.json.decode(OKPAlgorithm.to_jwk(public))
    key_id = OWN_KEY_PREFIX + sha256(public.public_bytes_raw()).hexdigest()[:16]
    return _Key(key_id, private, PyJWK(jwk, "EdDSA"))
