"""An identity provider for tests: keys of every kind, the tokens it signs, and tokens that others forge."""

from __future__ import annotations

import base64
import json
import time
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

ISSUER = "https://id.example.com/realms/shop"
AUDIENCE = "jangteo"
ALGORITHMS = ("RS256", "ES256", "EdDSA")


@cache
def key(algorithm: str, number: int = 0) -> Any:
    """A private key; another number is another key."""
    match algorithm:
        case "RS256":
            return rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
        case "ES256":
            return ec.generate_private_key(ec.SECP256R1())
        case "ES384":
            return ec.generate_private_key(ec.SECP384R1())
        case "small":
            return rsa.generate_private_key(public_exponent=65_537, key_size=1_024)
    return ed25519.Ed25519PrivateKey.generate()


def jwk(algorithm: str, kid: str | None, number: int = 0, **members: Any) -> dict[str, Any]:
    """The public half of a key, as a provider publishes it."""
    public = key(algorithm, number).public_key()
    kinds = {"RS256": RSAAlgorithm, "small": RSAAlgorithm, "EdDSA": OKPAlgorithm}
    found: dict[str, Any] = json.loads(kinds.get(algorithm, ECAlgorithm).to_jwk(public))  # type: ignore[attr-defined]  # each has it
    found.pop("key_ops", None)
    return {**found, "use": "sig", **({} if kid is None else {"kid": kid}), **members}


def jwks(*keys: dict[str, Any]) -> bytes:
    return json.dumps({"keys": list(keys)}).encode()


ALL_KEYS = jwks(*(jwk(each, each) for each in ALGORITHMS))
"""A set with a key of each kind; its id is its algorithm."""


def claims(**changes: Any) -> dict[str, Any]:
    """Claims of a good token for user 7; None leaves one out."""
    now = int(time.time())
    good = {"iss": ISSUER, "aud": AUDIENCE, "sub": "7", "iat": now, "exp": now + 300}
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


def token(algorithm: str = "ES256", number: int = 0, kid: Any = ..., header: Any = None, **changes: Any) -> bytes:
    """A token for user 7, signed by a key of the provider, or by another one of this number."""
    named = {"kid": algorithm if kid is ... else kid, **(header or {})}
    return jwt.encode(
        claims(**changes),
        key(algorithm, number),
        algorithm,
        headers={name: value for name, value in named.items() if value is not None},
    ).encode()


def raw_token(header: Any, payload: Any = None, signature: bytes = b"x") -> bytes:
    """A token of any header."""
    parts = (
        header if isinstance(header, bytes) else json.dumps(header).encode(),
        json.dumps(payload or claims()).encode(),
    )
    return b".".join(base64.urlsafe_b64encode(each).rstrip(b"=") for each in (*parts, signature))


def public_pem(algorithm: str) -> bytes:
    pem: bytes = key(algorithm).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem
