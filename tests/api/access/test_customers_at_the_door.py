"""Customers call a shop with tokens of an identity provider or of the shop, within the limits of their rate."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from jangteo.api.access.door import HOLD_FAILED_S
from jangteo.api.access.rate_limits import FAILED_ATTEMPTS
from jangteo.app import Shop as App
from jangteo.core.keys import PRESETS, CreateKey
from jangteo.engine.key_secrets import digest_of, key_of
from jangteo.settings import InvalidSetting, Settings
from tests.api.access.callers import settings_for_customers
from tests.api.access.provider import token
from tests.serving import ServedShop
from tests.storage.shops import Shop

SECRET = "A" * 43
KEY = key_of(1, SECRET)


@pytest.fixture
def serve(open_shop: Callable[..., ServedShop], database: str, tmp_path: Path) -> Callable[..., ServedShop]:
    """Serve a shop with an admin's key, whose customers have tokens of a provider."""
    with closing(Shop(database)) as shop:
        shop.do(CreateKey("admin", PRESETS["admin"], None, digest_of(SECRET)), at=datetime.now(UTC))
    options = settings_for_customers(tmp_path)

    def start(**changes: object) -> ServedShop:
        served = open_shop(access="keys", **options, **changes)
        served.http.headers["authorization"] = f"Bearer {KEY}"
        return served

    return start


def bearer(value: bytes | str) -> dict[str, str]:
    return {"authorization": f"Bearer {value if isinstance(value, str) else value.decode()}"}


def slug(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].removeprefix("/problems/")


def test_a_customer_with_a_providers_token_orders_and_reads_their_own(serve: Callable[..., ServedShop]) -> None:
    http = serve().http
    user, other, product = http.user(balance=5_000), http.user(balance=5_000), http.product(price=1_000)
    mine = bearer(token(sub=str(user)))
    body = {"items": [{"productId": product, "quantity": 1}]}
    assert http.post("/orders", json=body, headers=mine).json()["userId"] == user
    assert http.get(f"/users/{user}/balance", headers=mine).json() == {"balance": 4_000}
    assert slug(http.get(f"/users/{other}/balance", headers=mine)) == (403, "not-yours")
    assert slug(http.post("/orders", json={"userId": other, **body}, headers=mine)) == (403, "not-yours")
    assert slug(http.post("/users", json={}, headers=mine)) == (403, "forbidden")
    forged = http.get(f"/users/{user}/balance", headers=bearer(token(sub=str(user), number=9)))
    assert slug(forged) == (401, "unauthenticated")
    assert forged.headers["www-authenticate"] == 'Bearer realm="jangteo", error="invalid_token"'


def test_the_shop_gives_tokens_to_its_users_and_all_its_processes_accept_them(
    serve: Callable[..., ServedShop],
) -> None:
    shop = serve()
    http = shop.http
    user, other = http.user(balance=700), http.user()
    given = http.post(f"/users/{user}/tokens", json={"validSeconds": 60})
    assert given.status_code == 201
    assert given.json()["userId"] == user
    ends_at = datetime.fromisoformat(given.json()["expiresAt"]).timestamp()
    assert 0 < ends_at - time.time() <= 60
    mine = bearer(given.json()["token"])
    assert http.get(f"/users/{user}/balance", headers=mine).json() == {"balance": 700}
    assert slug(http.get(f"/users/{other}/balance", headers=mine)) == (403, "not-yours")
    assert slug(http.post(f"/users/{user}/tokens", headers=mine)) == (403, "forbidden")
    shop.close()
    with httpx.Client(base_url=serve().address) as later:
        assert later.get(f"/users/{user}/balance", headers=mine).json() == {"balance": 700}


def test_a_token_of_another_shop_is_nobodys(serve: Callable[..., ServedShop]) -> None:
    http = serve().http
    user = http.user()
    given: str = http.post(f"/users/{user}/tokens").json()["token"]
    head, payload, _ = given.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    kid = json.loads(base64.urlsafe_b64decode(head + "=="))["kid"]
    forged = token("EdDSA", number=9, kid=kid, **claims)
    assert slug(http.get(f"/users/{user}/balance", headers=bearer(forged))) == (401, "unauthenticated")


@pytest.mark.parametrize("seconds", [0, 86_401, -1, "60"])
def test_a_token_is_valid_for_24_hours_at_most(serve: Callable[..., ServedShop], seconds: object) -> None:
    http = serve().http
    refused = http.post(f"/users/{http.user()}/tokens", json={"validSeconds": seconds})
    assert (*slug(refused), refused.json()["field"]) == (400, "invalid-request", "validSeconds")
    assert slug(http.post("/users/9/tokens")) == (404, "user-not-found")


def test_a_customer_who_sends_too_many_is_refused_and_nobody_else(serve: Callable[..., ServedShop]) -> None:
    http = serve(rates=("customer=2/m",)).http
    user, other = http.user(), http.user()
    path, mine = f"/users/{user}/balance", bearer(token(sub=str(user)))
    answers = [http.get(path, headers=mine) for _ in range(3)]
    assert [each.status_code for each in answers] == [200, 200, 429]
    assert answers[0].headers["ratelimit-policy"] == '"customer";q=2;w=60'
    assert answers[0].headers["ratelimit"].startswith('"customer";r=1;t=')
    assert slug(answers[2]) == (429, "too-many-requests")
    assert answers[2].headers["ratelimit"].startswith('"customer";r=0;t=')
    assert 1 <= int(answers[2].headers["retry-after"]) <= 30
    # With another token, too: the limit is the customer's.
    assert http.get(path, headers=bearer(token(sub=str(user), n=2))).status_code == 429
    assert http.get(f"/users/{other}/balance", headers=bearer(token(sub=str(other)))).status_code == 200
    assert http.get(path).status_code == 200, "keys have no limit here"
    assert "ratelimit" not in http.get(path).headers


def test_each_call_of_a_bulk_request_counts(serve: Callable[..., ServedShop]) -> None:
    http = serve(rates=("customer=3/h",)).http
    user, product = http.user(balance=9_000), http.product()
    mine = bearer(token(sub=str(user)))
    order = {"call": "POST /orders", "body": {"items": [{"productId": product, "quantity": 1}]}}
    answer = http.post("/bulk", json=[order, {"call": "POST /users"}, order, order, order], headers=mine)
    assert [each["status"] for each in answer.json()] == [201, 403, 201, 429, 429]
    assert answer.json()[3]["body"]["type"] == "/problems/too-many-requests"
    assert answer.headers["ratelimit"].startswith('"customer";r=0;t=')
    assert http.get(f"/users/{user}/balance").json() == {"balance": 7_000}
    assert http.post("/bulk", json=[order], headers=mine).status_code == 429


def test_what_a_caller_may_not_do_counts_too(serve: Callable[..., ServedShop]) -> None:
    http = serve(rates=("customer=2/h",)).http
    mine = bearer(token(sub=str(http.user())))
    assert [http.post("/users", json={}, headers=mine).status_code for _ in range(3)] == [403, 403, 429]


def test_a_refused_request_was_not_executed(serve: Callable[..., ServedShop]) -> None:
    http = serve(rates=("key=3/h",)).http
    user = http.user()
    answers = [http.post(f"/users/{user}/balance", json={"amount": 10}).status_code for _ in range(4)]
    assert answers == [201, 201, 429, 429]
    own = bearer(token(sub=str(user)))
    assert http.get(f"/users/{user}/balance", headers=own).json() == {"balance": 20}


def test_addresses_are_limited_where_nobody_is_named_and_health_never_is(
    open_shop: Callable[..., ServedShop],
) -> None:
    http = open_shop(rates=("address=1/h",), trusted_proxies=("127.0.0.1",)).http
    first, second = {"x-forwarded-for": "198.51.100.1"}, {"x-forwarded-for": "203.0.113.9, 198.51.100.2"}
    assert http.get("/products", headers=first).status_code == 200
    assert slug(http.get("/products", headers=first)) == (429, "too-many-requests")
    assert http.get("/products", headers=second).status_code == 200
    assert [http.get("/health/ready", headers=first).status_code for _ in range(3)] == [200] * 3


@pytest.mark.parametrize("wrong", ["jt_1_" + "B" * 43, "jt_999_" + "A" * 43, "no-token", "e30.e30.e30"])
def test_an_address_with_too_many_wrong_credentials_must_wait_while_known_callers_go_on(
    serve: Callable[..., ServedShop], wrong: str
) -> None:
    http = serve().http
    user = http.user()
    mine, path = bearer(token(sub=str(user))), f"/users/{user}/balance"
    assert http.get(path, headers=mine).status_code == 200
    for _ in range(10 * FAILED_ATTEMPTS.burst):
        refused = http.get(path, headers=bearer(wrong))
        if refused.status_code != 401:
            break
    assert slug(refused) == (429, "too-many-requests")
    assert refused.elapsed.total_seconds() >= HOLD_FAILED_S
    # The same address: a key, and a token that was verified before.
    assert http.get(path).status_code == http.get(path, headers=mine).status_code == 200


NAMED = {"customers_issuer": "i", "customers_audience": "a"}


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"customers_jwks": "{folder}/missing.json", **NAMED}, "can't be used"),
        ({"customers_jwks": "{folder}/empty.json", **NAMED}, "no JSON object"),
        ({"customers_jwks": "https://id.example.com/keys", "customers_issuer": "i"}, "needs --customers-issuer and"),
        ({"customers_jwks": "https://id.example.com/keys", "customers_audience": "a"}, "needs --customers-issuer and"),
        ({"customers_issuer": "i"}, "are for tokens of --customers-jwks"),
        ({"access": "open", **NAMED}, "need --access keys"),
        ({"rates": ("many",)}, "is no rate"),
        ({"trusted_proxies": ("proxy",)}, "is no network"),
        ({"allowed_hosts": ("a b",)}, "is no name"),
        ({"allowed_origins": ("*",)}, "is no origin"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_one_line_before_the_shop_opens(
    sqlite_database: str, tmp_path: Path, settings: dict[str, Any], reason: str
) -> None:
    (tmp_path / "empty.json").write_bytes(b"")
    given: dict[str, Any] = {
        name: each.format(folder=tmp_path) if isinstance(each, str) else each for name, each in settings.items()
    }
    with pytest.raises(InvalidSetting, match=reason) as error:
        App(Settings(database=sqlite_database, **{"access": "keys", **given}))
    assert "\n" not in str(error.value)
