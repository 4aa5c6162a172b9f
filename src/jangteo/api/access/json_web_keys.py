"""Public keys of an identity provider: reads a JWK set (RFC 7517), and leaves out what verifies no customer token."""

from typing import Any, Final

import msgspec
from jwt import PyJWK, PyJWTError

KEYS_MAX: Final = 100
"""The most keys of a set that are looked at."""
_RSA_BITS_MIN: Final = 2_048
_ALGORITHMS: Final[dict[tuple[str, str | None], str]] = {
    ("RSA", None): "RS256",
    ("EC", "P-256"): "ES256",
    ("OKP", "Ed25519"): "EdDSA",
}
"""By type and curve. A key verifies one algorithm, whatever a token's header says."""
_PUBLIC: Final = frozenset({"kty", "n", "e", "crv", "x", "y"})
"""The members that make a public key: a private one that was published by mistake is used as its public half."""


class InvalidKeySet(Exception):
    """A text is no JWK set, or none of its keys verifies tokens; the message says so in one line."""


class KeySet:
    """Keys by their ids."""

    def __init__(self, keys: dict[str | None, PyJWK]) -> None:
        self._keys = keys

    def find(self, key_id: str | None) -> PyJWK | None:
        """Return the key of this id. A token without an id means the only key, if there is only one."""
        if key_id is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(key_id)


def read_key_set(raw: bytes) -> KeySet:
    """Read a JWK set. Keys of other types, sizes or uses are left out. Raises InvalidKeySet."""
    try:
        document = msgspec.json.decode(raw, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise InvalidKeySet("it is no JSON object") from None
    given = document.get("keys")
    if not isinstance(given, list):
        raise InvalidKeySet('it has no list "keys"')
    keys: dict[str | None, PyJWK] = {}
    for each in given[:KEYS_MAX]:
        key = _read_key(each) if isinstance(each, dict) else None
        if key is not None:
            key_id = each.get("kid")
            keys.setdefault(key_id if isinstance(key_id, str) else None, key)
    if not keys:
        raise InvalidKeySet("it has no key for RS256 (2,048 bits or more), ES256 or EdDSA (Ed25519)")
    return KeySet(keys)


def _read_key(given: dict[str, Any]) -> PyJWK | None:
    kind, curve = given.get("kty"), given.get("crv")
    if not isinstance(kind, str) or not isinstance(curve, str | None):
        return None
    algorithm = _ALGORITHMS.get((kind, curve))
    if algorithm is None or given.get("alg", algorithm) != algorithm or given.get("use", "sig") != "sig":
        return None
    try:
        key = PyJWK({name: value for name, value in given.items() if name in _PUBLIC}, algorithm)
    except (PyJWTError, ValueError, TypeError):
        return None
    if algorithm == "RS256" and key.key.key_size < _RSA_BITS_MIN:
        return None
    return key
