"""Customer tokens: JWTs (RFC 7519) of the shop's identity provider, or of the shop itself, and the user each is for."""

import re
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, NamedTuple, Protocol

import jwt
from jwt import PyJWK

from jangteo.core.limits import LARGEST

TOKEN_MAX_BYTES: Final = 8_192
REMEMBERED_MAX: Final = 50_000
"""The most verified tokens that are remembered, some 15 MiB."""
SKEW_MAX_S: Final = 60.0
"""How far the provider's clock may be ahead: a token that begins later is refused."""
OWN_KEY_PREFIX: Final = "jangteo-"
"""What the ids of the shop's own keys begin with; no provider's key is looked for under such an id."""
_KEY_ID_MAX: Final = 256
_USER_ID: Final = re.compile(r"[1-9][0-9]{0,18}")
_OPTIONS: Final = {"require": ["exp", "iss", "aud"], "verify_nbf": False, "verify_iat": False, "verify_sub": False}
"""PyJWT checks the signature, `exp`, `iss` and `aud`."""


class InvalidToken(Exception):
    """The token is no customer's; the message says why, and quotes nothing of it."""


class Keys(Protocol):
    """The public keys of an issuer."""

    version: int
    """Another number whenever the keys have changed."""

    async def find(self, key_id: str | None) -> PyJWK | None:
        """Return the key with this id, or None."""


@dataclass(frozen=True)
class Issuer:
    """Whose tokens are accepted."""

    keys: Keys
    name: str
    """What `iss` must be."""
    audience: str
    """What `aud` must be or contain."""
    claim: str = "sub"
    """The claim that is the user's id: a whole number, or one written as a text."""


class _Verified(NamedTuple):
    user_id: int
    ends_at: float
    issuer: Issuer
    version: int


class CustomerTokens:
    """Verifies tokens, each of them once: a verified one is remembered by its digest until it ends."""

    def __init__(
        self, own: Issuer | None = None, provider: Issuer | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        """`own` is the shop itself. `clock` is in seconds since 1970."""
        self._own = own
        self._provider = provider
        self._clock = clock
        self._verified: OrderedDict[bytes, _Verified] = OrderedDict()

    def remembered(self, token: bytes) -> int | None:
        """Return the user of a token that was verified before and hasn't ended; None for any other."""
        digest = sha256(token).digest()
        known = self._verified.get(digest)
        if known is None:
            return None
        if known.ends_at <= self._clock() or known.version != known.issuer.keys.version:
            del self._verified[digest]
            return None
        self._verified.move_to_end(digest)
        return known.user_id

    async def verify(self, token: bytes) -> int:
        """Return the user that a token is for. Raises InvalidToken, and what finding a key raises."""
        known = self.remembered(token)
        if known is not None:
            return known
        if len(token) > TOKEN_MAX_BYTES:
            raise InvalidToken(f"a token has at most {TOKEN_MAX_BYTES:,} bytes")
        key_id = _key_id_of(token)
        issuer = self._own if key_id is not None and key_id.startswith(OWN_KEY_PREFIX) else self._provider
        key = None if issuer is None else await issuer.keys.find(key_id)
        if issuer is None or key is None:
            raise InvalidToken("its key is not known")
        version = issuer.keys.version
        claims = _read_claims(token, key, issuer)
        _check_beginning(claims, self._clock())
        user_id = _read_user(claims.get(issuer.claim), issuer.claim)
        self._verified[sha256(token).digest()] = _Verified(user_id, float(claims["exp"]), issuer, version)
        while len(self._verified) > REMEMBERED_MAX:
            self._verified.popitem(last=False)
        return user_id


def _key_id_of(token: bytes) -> str | None:
    """Return the key id that the token's header names. Nothing else of the header is believed."""
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise InvalidToken("it is no JSON Web Token") from None
    key_id = header.get("kid")
    if key_id is not None and not (isinstance(key_id, str) and 0 < len(key_id) <= _KEY_ID_MAX):
        raise InvalidToken("its key id is malformed")
    if "crit" in header or "b64" in header:
        raise InvalidToken("its header has extensions")
    return key_id


def _read_claims(token: bytes, key: PyJWK, issuer: Issuer) -> dict[str, Any]:
    """Verify the signature by the key's own algorithm, then the claims. Raises InvalidToken."""
    try:
        return jwt.decode(
            token,
            key,
            algorithms=[key.algorithm_name],
            audience=issuer.audience,
            issuer=issuer.name,
            options=_OPTIONS,  # type: ignore[arg-type]  # a TypedDict by its values
        )
    except jwt.ExpiredSignatureError:
        raise InvalidToken("it has expired") from None
    except jwt.InvalidAudienceError:
        raise InvalidToken("its audience is another") from None
    except jwt.InvalidIssuerError:
        raise InvalidToken("its issuer is another") from None
    except jwt.MissingRequiredClaimError as error:
        raise InvalidToken(f"it has no claim {error.claim}") from None
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
        raise InvalidToken("its signature or its claims are not valid") from None


def _check_beginning(claims: dict[str, Any], now: float) -> None:
    for name in ("nbf", "iat"):
        beginning = claims.get(name, 0)
        if not isinstance(beginning, int | float) or not beginning <= now + SKEW_MAX_S:
            raise InvalidToken("it is not valid yet")


def _read_user(value: object, claim: str) -> int:
    if isinstance(value, str) and _USER_ID.fullmatch(value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= LARGEST:
        raise InvalidToken(f"its claim {claim} is no user's id")
    return value
