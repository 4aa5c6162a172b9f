"""What attackers try with the headers and the address of a request, from real ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from jangteo.core.keys import SCOPES
from tests.api.access.callers import bearer, customer, key, settings_for_customers
from tests.api.access.provider import token
from tests.serving import Http, ServedShop


@pytest.fixture
def guarded(tmp_path: Path, open_shop: Callable[..., ServedShop]) -> ServedShop:
    """A shop with two users; its client has no credential."""
    shop = open_shop(access="keys", **settings_for_customers(tmp_path))
    with Http(base_url=shop.address, headers=bearer(admin(shop))) as http:
        http.user(balance=9_000)
        http.user(balance=9_000)
        http.product(price=1_000, stock=50)
    return shop


def admin(shop: ServedShop) -> str:
    return key(shop.shop.settings.database, *SCOPES)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
@pytest.mark.parametrize("name", ["Authorization", "AUTHORIZATION"])
def test_the_scheme_and_the_header_have_any_case(guarded: ServedShop, scheme: str, name: str) -> None:
    assert guarded.http.get("/users/1/balance", headers={name: f"{scheme} {admin(guarded)}"}).status_code == 200


def test_the_key_itself_has_its_case(guarded: ServedShop) -> None:
    credential = admin(guarded)
    for changed in (credential.swapcase(), credential.upper(), credential + "A", credential[:-1], credential + "="):
        assert guarded.http.get("/users/1/balance", headers=bearer(changed)).status_code == 401


def test_of_two_credentials_none_counts(guarded: ServedShop) -> None:
    credential = f"Bearer {admin(guarded)}"
    for other in (credential, "Bearer x", "Basic eA==", ""):
        headers = [("authorization", credential), ("authorization", other)]
        assert guarded.http.get("/users/1/balance", headers=headers).status_code == 401
        assert guarded.http.get("/users/1/balance", headers=headers[::-1]).status_code == 401


@pytest.mark.parametrize("name", ["access_token", "key", "authorization"])
def test_a_key_in_the_address_is_none_and_not_quoted(guarded: ServedShop, name: str) -> None:
    credential = admin(guarded)
    guarded_read = guarded.http.get("/users/1/balance", params={name: credential})
    public_read = guarded.http.get("/products", params={name: credential})
    assert (guarded_read.status_code, public_read.status_code) == (401, 400)
    assert credential not in guarded_read.text + public_read.text


def test_a_token_of_many_kilobytes_is_refused_before_it_is_read(guarded: ServedShop) -> None:
    large = token(sub="1", padding="a" * 8_192).decode()
    refused = guarded.http.get("/users/1/balance", headers=bearer(large))
    assert refused.status_code == 401
    assert "8,192 bytes" in refused.json()["detail"]
    assert guarded.http.get("/users/1/balance", headers=bearer("a" * 100_000)).status_code == 431


def test_a_customer_reaches_nothing_of_others_by_bulk(guarded: ServedShop) -> None:
    order = {"items": [{"productId": 1, "quantity": 1}]}
    placed = guarded.http.post("/orders", json=order, headers={"idempotency-key": "a", **customer(1)})
    assert placed.status_code == 201
    calls = [
        {"call": "POST /orders", "key": "a", "body": {"userId": 1, **order}},
        {"call": "POST /coupons", "body": {"userId": 1, "campaignId": 1}},
        {"call": "POST /orders/1/cancel", "key": "a"},
        {"call": "POST /orders", "key": "a", "body": order},
    ]
    answers = guarded.http.post("/bulk", json=calls, headers=customer(2)).json()
    assert [each["status"] for each in answers] == [403, 403, 404, 422]
    assert not any(each.get("replayed") for each in answers)
    assert guarded.http.get("/orders/1", headers=customer(1)).json() == placed.json()


SPELLINGS = ("//users/1/balance", "/users/1/balance/", "/users//1/balance", "/Users/1/balance", "/users/%31/balance")


def test_the_door_asks_for_each_spelling_of_a_path(guarded: ServedShop) -> None:
    for path in (
        "//users/1/balance",
        "/users/1/balance/",
        "/users//1/balance",
        "/Users/1/balance",
        "/users/%31/balance",
    ):
        assert guarded.http.get(path).status_code in (401, 404)
    assert guarded.http.head("/users/1/balance").status_code == 401
    assert guarded.http.get("/health/../users/1/balance").status_code in (401, 404)


def test_a_preflight_grants_no_credentials_and_learns_nothing_of_callers(
    open_shop: Callable[..., ServedShop],
) -> None:
    origin = "https://front.example.com"
    shop = open_shop(access="keys", allowed_origins=(origin,))
    headers = {
        "origin": origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization, cookie",
        "access-control-request-private-network": "true",
        "cookie": "session=1",
    }
    answer = shop.http.options("/orders", headers=headers)
    assert answer.status_code == 204
    assert "access-control-allow-credentials" not in answer.headers
    assert "access-control-allow-private-network" not in answer.headers
    assert "cookie" not in answer.headers["access-control-allow-headers"]
