"""Customer tokens: real ones name their user, and every trick that is known against JWTs is refused."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from jwt import PyJWK

from jangteo.api.access import customer_tokens
from jangteo.api.access.customer_tokens import CustomerTokens, InvalidToken, Issuer
from jangteo.api.access.json_web_keys import InvalidKeySet, KeySet, read_key_set
from tests.api.access.provider import (
    ALGORITHMS,
    ALL_KEYS,
    AUDIENCE,
    ISSUER,
    claims,
    jwk,
    jwks,
    key,
    public_pem,
    raw_token,
    token,
)


class FixedKeys:
    """Keys that are at hand. Counts how often one was looked for."""

    def __init__(self, raw: bytes = ALL_KEYS) -> None:
        self.set: KeySet = read_key_set(raw)
        self.version = 1
        self.finds = 0

    async def find(self, key_id: str | None) -> PyJWK | None:
        self.finds += 1
        return self.set.find(key_id)


class Clock:
    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


def verifier(keys: FixedKeys | None = None, claim: str = "sub", clock: Clock | None = None) -> CustomerTokens:
    return CustomerTokens(None, Issuer(keys or FixedKeys(), ISSUER, AUDIENCE, claim), clock or Clock())


def user_of(given: bytes, **options: Any) -> int:
    return asyncio.run(verifier(**options).verify(given))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_token_of_the_provider_names_its_user(algorithm: str) -> None:
    assert user_of(token(algorithm)) == 7
    assert user_of(token(algorithm, sub=7)) == 7
    assert user_of(token(algorithm, aud=["other", AUDIENCE])) == 7


NOW = int(time.time())
SHAPES = {
    "Keycloak": (
        "shop_user",
        {
            "exp": NOW + 86_400, "iat": NOW, "auth_time": NOW - 5, "jti": "onrtac:0f4b9b5c-3b55-4c06-9a17-3f2f3cb6f4f1",
            "iss": ISSUER, "aud": [AUDIENCE, "account"], "sub": "f9c5a3a0-7c0c-4f3f-8a51-8a3f0a1ff3a6", "typ": "Bearer",
            "azp": "storefront", "sid": "9a2c7f6e-8d2e-4c11-a1f6-0d1df7b1d2aa", "acr": "1",
            "allowed-origins": ["https://front.example.com"],
            "realm_access": {"roles": ["offline_access", "default-roles-shop"]},
            "resource_access": {"account": {"roles": ["manage-account"]}}, "scope": "openid profile",
            "email_verified": True, "shop_user": 7,
        },
        {"typ": "JWT"},
    ),
    "Auth0": (
        "https://shop.example.com/user_id",
        {
            "https://shop.example.com/user_id": "7", "iss": ISSUER, "sub": "auth0|6543210fedcba9876543210f",
            "aud": [AUDIENCE, "https://tenant.eu.auth0.example/userinfo"], "iat": NOW, "exp": NOW + 86_400,
            "azp": "qX3k0mVb7tN", "scope": "openid profile", "gty": "password", "permissions": [],
        },
        {"typ": "at+jwt"},
    ),
    "Cognito's ID token": (
        "custom:user_id",
        {
            "sub": "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee", "email_verified": True, "iss": ISSUER,
            "cognito:username": "ann", "origin_jti": "11111111-2222-4333-8444-555555555555", "aud": AUDIENCE,
            "event_id": "66666666-7777-4888-9999-000000000000", "token_use": "id", "auth_time": NOW,
            "exp": NOW + 86_400, "iat": NOW, "jti": "77777777-8888-4999-aaaa-bbbbbbbbbbbb", "custom:user_id": "7",
        },
        {},
    ),
}  # fmt: skip


@pytest.mark.parametrize("provider", SHAPES)
def test_real_providers_tokens_name_their_user(provider: str) -> None:
    claim, shape, header = SHAPES[provider]
    kid = "abcDEF123+/xyz=="
    keys = FixedKeys(jwks(jwk("RS256", kid, alg="RS256"), jwk("RS256", "encryption", number=1, use="enc")))
    changes: dict[str, Any] = {**dict.fromkeys(claims()), **shape}
    signed = token("RS256", kid=kid, header=header, **changes)
    assert user_of(signed, keys=keys, claim=claim) == 7


def hs256(secret: bytes, kid: str) -> bytes:
    """A token signed with the public key as if it were a secret."""
    unsigned = raw_token({"alg": "HS256", "typ": "JWT", "kid": kid}).rpartition(b".")[0]
    signature = hmac.new(secret, unsigned, hashlib.sha256).digest()
    return unsigned + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")


def own_key() -> dict[str, Any]:
    """An attacker's key, as a header that names or contains it."""
    return jwk("ES256", "ES256", number=9)


def changed_payload() -> bytes:
    head, _, signature = token().split(b".")
    return b".".join((head, base64.urlsafe_b64encode(json.dumps(claims(sub="8")).encode()).rstrip(b"="), signature))


FORGED: dict[str, tuple[Callable[[], bytes], str]] = {
    "not signed": (lambda: raw_token({"alg": "none", "kid": "ES256"}, signature=b""), "not valid"),
    "not signed, in other letters": (lambda: raw_token({"alg": "nOnE", "kid": "ES256"}, signature=b""), "not valid"),
    "without an algorithm": (lambda: raw_token({"kid": "ES256"}), "not valid"),
    "HMAC with the public key as PEM": (lambda: hs256(public_pem("RS256"), "RS256"), "not valid"),
    "HMAC with the public key as JWK": (lambda: hs256(json.dumps(jwk("RS256", "a")).encode(), "RS256"), "not valid"),
    "another key": (lambda: token(number=9), "not valid"),
    "another algorithm's key id": (lambda: token("ES256", kid="RS256"), "not valid"),
    "an algorithm that is not served": (lambda: token("ES384", kid="ES256"), "not valid"),
    "a changed payload": (changed_payload, "not valid"),
    "a key in its header": (lambda: token(number=9, header={"jwk": own_key()}), "not valid"),
    "a key's address in its header": (lambda: token(number=9, header={"jku": "https://evil.example"}), "not valid"),
    "an empty signature": (lambda: token().rpartition(b".")[0] + b".", "not valid"),
    "an unknown key": (lambda: token(kid="other"), "its key is not known"),
    "no key id among several keys": (lambda: token(kid=None), "its key is not known"),
    "a key id that is a path": (lambda: token(kid="../../../../dev/null"), "its key is not known"),
    "a key id that is SQL": (lambda: token(kid="x' UNION SELECT 'key"), "its key is not known"),
    "a key id of the shop itself": (lambda: token(kid="jangteo-1"), "its key is not known"),
    "a key id that is empty": (lambda: token(kid=""), "its key id is malformed"),
    "a huge key id": (lambda: token(kid="k" * 5_000), "its key id is malformed"),
    "a key id that is a number": (lambda: raw_token({"alg": "ES256", "kid": 1}), "no JSON Web Token"),
    "a key id that is a list": (lambda: raw_token({"alg": "ES256", "kid": ["ES256"]}), "no JSON Web Token"),
    "a critical extension": (lambda: raw_token({"alg": "ES256", "kid": "ES256", "crit": ["x"]}), "exten|no JSON"),
    "expired": (lambda: token(exp=int(time.time()) - 1), "it has expired"),
    "without an end": (lambda: token(exp=None), "it has no claim exp"),
    "an end that is no number": (lambda: token(exp="soon"), "not valid"),
    "not valid yet": (lambda: token(nbf=int(time.time()) + 120), "it is not valid yet"),
    "issued in the future": (lambda: token(iat=int(time.time()) + 120), "it is not valid yet"),
    "a beginning that is no number": (lambda: token(nbf=[]), "it is not valid yet"),
    "for another audience": (lambda: token(aud="other"), "its audience is another"),
    "for nobody": (lambda: token(aud=None), "it has no claim aud"),
    "for an empty list": (lambda: token(aud=[]), "it has no claim aud"),
    "a part of the audience's name": (lambda: token(aud=AUDIENCE[:-1]), "its audience is another"),
    "of another issuer": (lambda: token(iss=ISSUER + "/"), "its issuer is another"),
    "of nobody": (lambda: token(iss=None), "it has no claim iss"),
    "a user that is none": (lambda: token(sub="ann"), "its claim sub is no user's id"),
    "a user that is true": (lambda: token(sub=True), "its claim sub is no user's id"),
    "a user below 1": (lambda: token(sub="0"), "its claim sub is no user's id"),
    "a user of other digits": (lambda: token(sub="\uff17"), "its claim sub is no user's id"),
    "a user above all": (lambda: token(sub=str(2**53)), "its claim sub is no user's id"),
    "without a user": (lambda: token(sub=None), "its claim sub is no user's id"),
    "oversized": (lambda: token(pad="x" * 8_192), "at most 8,192 bytes"),
    "nothing": (lambda: b"", "no JSON Web Token"),
    "no token": (lambda: b"jt_1_secret", "no JSON Web Token"),
    "two dots": (lambda: b"..", "no JSON Web Token"),
    "an encrypted one": (lambda: b"a.b.c.d.e", "no JSON Web Token"),
    "bytes": (lambda: b"\xff\xfe.\x00.\x01", "no JSON Web Token"),
    "a deep header": (lambda: raw_token(b'{"a":' + b"[" * 5_000), "no JSON Web Token"),
    "a header with a huge number": (lambda: raw_token(b'{"alg": ' + b"9" * 5_000 + b"}"), "no JSON Web Token"),
}  # fmt: skip


@pytest.mark.parametrize("forgery", FORGED)
def test_a_forged_or_wrong_token_is_nobodys(forgery: str) -> None:
    make, reason = FORGED[forgery]
    with pytest.raises(InvalidToken, match=reason) as error:
        user_of(make())
    assert "ES256" not in str(error.value), "nothing of the token is quoted"


def test_without_a_provider_no_token_is_anyones() -> None:
    with pytest.raises(InvalidToken, match="its key is not known"):
        asyncio.run(CustomerTokens().verify(token()))


def test_a_provider_with_one_key_may_leave_out_its_id() -> None:
    assert user_of(token(kid=None), keys=FixedKeys(jwks(jwk("ES256", None)))) == 7


def test_a_verified_token_is_remembered_until_it_ends() -> None:
    keys, clock = FixedKeys(), Clock()
    tokens, given = verifier(keys, clock=clock), token()

    async def scenario() -> None:
        assert tokens.remembered(given) is None
        assert [await tokens.verify(given) for _ in range(3)] == [7, 7, 7]
        assert keys.finds == 1, "it was verified once"
        assert tokens.remembered(given) == 7
        assert tokens.remembered(given[:-2]) is None
        clock.ahead = 301
        assert tokens.remembered(given) is None

    asyncio.run(scenario())


def test_other_keys_have_every_token_verified_again() -> None:
    keys = FixedKeys()
    tokens, given = verifier(keys), token()

    async def scenario() -> None:
        await tokens.verify(given)
        keys.set, keys.version = read_key_set(jwks(jwk("ES256", "ES256", number=1))), 2
        with pytest.raises(InvalidToken):
            await tokens.verify(given)

    asyncio.run(scenario())


def test_no_more_tokens_are_remembered_than_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(customer_tokens, "REMEMBERED_MAX", 2)
    keys = FixedKeys()
    tokens = verifier(keys)
    first, second, third = (token(n=number) for number in range(3))

    async def scenario() -> None:
        for each in (first, second, first, third):
            await tokens.verify(each)
        assert tokens.remembered(first) == tokens.remembered(third) == 7
        assert tokens.remembered(second) is None

    asyncio.run(scenario())


def test_a_key_verifies_its_own_algorithm_only_and_other_keys_are_left_out() -> None:
    secret = {"kty": "oct", "kid": "secret", "k": base64.urlsafe_b64encode(b"x" * 32).decode()}
    keys = read_key_set(
        jwks(
            secret,
            jwk("small", "small"),
            jwk("ES384", "ES384"),
            jwk("RS256", "other-use", use="enc"),
            jwk("RS256", "other-algorithm", alg="RS512"),
            {"kty": ["RSA"], "kid": "a"},
            {"kty": "RSA", "kid": "broken", "n": 1, "e": "AQAB"},
            {"kid": "nothing"},
            jwk("EdDSA", "good"),
        )
    )
    unusable = ("secret", "small", "ES384", "other-use", "other-algorithm", "a", "broken", "nothing")
    assert [name for name in unusable if keys.find(name) is not None] == []
    good = keys.find("good")
    assert good is not None
    assert good.algorithm_name == "EdDSA"


def test_of_a_private_key_the_public_half_is_used() -> None:
    private = {**jwk("EdDSA", "EdDSA"), "d": base64.urlsafe_b64encode(key("EdDSA").private_bytes_raw()).decode()}
    assert user_of(token("EdDSA"), keys=FixedKeys(jwks(private))) == 7


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "no JSON object"),
        (b"[]", "no JSON object"),
        (b"\xff", "no JSON object"),
        (b"[" * 100_000, "no JSON object"),
        (b"{}", 'no list "keys"'),
        (b'{"keys": {}}', 'no list "keys"'),
        (b'{"keys": []}', "no key for RS256"),
        (b'{"keys": [1, null]}', "no key for RS256"),
    ],
)
def test_what_is_no_key_set_is_an_error(raw: bytes, reason: str) -> None:
    with pytest.raises(InvalidKeySet, match=reason):
        read_key_set(raw)
