"""The door over HTTP: keys and customers, what they did, and what nobody learns."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest

from jangteo.core.keys import PRESETS, SCOPES, RevokeKey
from tests.api.access.callers import bearer, customer, do, key, settings_for_customers
from tests.serving import Http, ServedShop

ORDER = {"userId": 1, "items": [{"productId": 1, "quantity": 1}]}


@pytest.fixture
def open_door(tmp_path: Path, open_shop: Callable[..., ServedShop]) -> Callable[..., ServedShop]:
    return partial(open_shop, access="keys", **settings_for_customers(tmp_path))


@pytest.fixture
def guarded(open_door: Callable[..., ServedShop]) -> ServedShop:
    """A shop with two users and a product; its client has a key with all scopes, which is key 1."""
    shop = open_door()
    set_up(shop)
    return shop


def set_up(shop: ServedShop) -> None:
    shop.http.headers.update(bearer(key(shop.shop.settings.database, *SCOPES)))
    shop.http.user(balance=9_000)
    shop.http.user(balance=9_000)
    shop.http.product(price=1_000, stock=50)


def test_a_key_works_as_soon_as_it_is_made_and_no_longer_than_a_second_after_it_is_revoked(
    guarded: ServedShop,
) -> None:
    database, http = guarded.shop.settings.database, guarded.http
    read = partial(http.get, "/users/1/balance")
    made = http.post("/keys", json={"name": "analyst", "scopes": ["read"]})
    assert made.status_code == 201
    assert read(headers=bearer(made.json()["key"])).status_code == 200
    beside = key(database, "read")
    assert read(headers=bearer(beside)).status_code == 200
    do(database, RevokeKey(int(beside.split("_")[1])))
    revoked_at = asked_at = last_admitted_at = monotonic()
    while read(headers=bearer(beside)).status_code == 200:
        last_admitted_at = asked_at
        sleep(0.01)
        asked_at = monotonic()
    assert last_admitted_at - revoked_at < 1
    assert read(headers=bearer(beside)).json()["detail"] == "This API key was revoked"
    assert read(headers=bearer(made.json()["key"])).status_code == 200, "the other one goes on: rotation has no gap"


def test_a_key_ends_at_its_end(guarded: ServedShop) -> None:
    ends_at = datetime.now(UTC) + timedelta(hours=1)
    body = {"name": "analyst", "scopes": ["read"], "endsAt": ends_at.isoformat()}
    headers = bearer(guarded.http.post("/keys", json=body).json()["key"])
    assert guarded.http.get("/users/1/balance", headers=headers).status_code == 200
    guarded.clock.ahead = timedelta(hours=2)
    ended = guarded.http.get("/users/1/balance", headers=headers)
    assert (ended.status_code, ended.json()["detail"]) == (401, "This API key has ended")


def test_a_key_that_would_have_ended_is_refused_by_its_field(guarded: ServedShop) -> None:
    body = {"name": "analyst", "scopes": ["read"], "endsAt": "2020-01-01T00:00:00Z"}
    refused = guarded.http.post("/keys", json=body)
    assert (refused.status_code, refused.json()["field"]) == (400, "endsAt")


@pytest.mark.parametrize("scopes", [[], ["everything"], "read", None])
def test_a_key_has_known_scopes(guarded: ServedShop, scopes: Any) -> None:
    refused = guarded.http.post("/keys", json={"name": "analyst", "scopes": scopes})
    assert (refused.status_code, refused.json()["field"].partition("[")[0]) == (400, "scopes")


def test_the_key_is_shown_once_and_listed_without_its_secret(guarded: ServedShop) -> None:
    body = {"name": "storefront 1", "scopes": [*PRESETS["storefront"]]}
    first, again = (guarded.http.post("/keys", json=body, headers={"idempotency-key": "a"}) for _ in range(2))
    made = first.json()
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json() == {name: value for name, value in made.items() if name != "key"}
    listed = guarded.http.get("/keys").json()
    assert listed[1] == again.json()
    assert (listed[1]["name"], listed[1]["createdBy"], listed[1]["lastUsedAt"]) == ("storefront 1", "key:1", None)
    assert "key" not in listed[1]


def test_the_secret_is_in_no_row_of_the_database(guarded: ServedShop) -> None:
    database = guarded.shop.settings.database
    if not database.startswith("sqlite"):
        pytest.skip("the rows are the same on PostgreSQL")
    made = guarded.http.post("/keys", json={"name": "a", "scopes": ["read"]}, headers={"idempotency-key": "a"}).json()
    with closing(sqlite3.connect(database.removeprefix("sqlite:///"))) as raw:
        dump = "\n".join(raw.iterdump())
    assert '"keyId":2' in dump
    assert made["key"].split("_", 2)[2] not in dump


def test_revoking_twice_is_as_good_as_once(guarded: ServedShop) -> None:
    guarded.http.post("/keys", json={"name": "a", "scopes": ["read"]})
    first, second = (guarded.http.post("/keys/2/revoke") for _ in range(2))
    assert (first.status_code, first.json()["revokedBy"]) == (200, "key:1")
    assert second.json() == first.json()
    unknown = guarded.http.post("/keys/9/revoke")
    assert (unknown.status_code, unknown.json()["type"], unknown.json()["keyId"]) == (404, "/problems/key-not-found", 9)


def test_the_last_use_of_a_key_is_listed_to_the_minute(
    monkeypatch: pytest.MonkeyPatch, open_door: Callable[..., ServedShop]
) -> None:
    monkeypatch.setattr("jangteo.api.access.key_ring.RECORD_EVERY", 1)
    guarded = open_door()
    set_up(guarded)
    before = datetime.now(UTC).replace(second=0, microsecond=0)
    give_up_at = monotonic() + 30
    while (used := guarded.http.get("/keys").json()[0]["lastUsedAt"]) is None:
        assert monotonic() < give_up_at
        sleep(0.1)
    at = datetime.fromisoformat(used)
    assert before <= at <= datetime.now(UTC)
    assert (at.second, at.microsecond) == (0, 0)


@pytest.mark.parametrize(
    "given", ["", "Bearer", "Basic anQ6eA==", "Bearer a b", "Bearer jt_1_short", "Bearer jt_0_" + "A" * 43, "jt_1_x"]
)
def test_any_other_authorization_is_refused(guarded: ServedShop, given: str) -> None:
    refused = guarded.http.get("/users/1/balance", headers={"authorization": given})
    assert (refused.status_code, refused.json()["type"]) == (401, "/problems/unauthenticated")
    assert refused.headers["www-authenticate"] == 'Bearer realm="jangteo", error="invalid_token"'
    assert "A" * 43 not in refused.text


def test_a_challenge_without_a_credential_names_no_error(guarded: ServedShop) -> None:
    with Http(base_url=guarded.address) as nobody:
        assert nobody.get("/users/1/balance").headers["www-authenticate"] == 'Bearer realm="jangteo"'


def test_what_a_key_lacks_is_named(guarded: ServedShop) -> None:
    reader = bearer(key(guarded.shop.settings.database, "read"))
    refused = guarded.http.post("/orders", json=ORDER, headers=reader)
    assert (refused.status_code, refused.json()["scope"]) == (403, "orders:place")
    assert 'error="insufficient_scope", scope="orders:place"' in refused.headers["www-authenticate"]
    assert guarded.http.get("/products/1").json()["stock"] == 50


def test_a_request_is_refused_before_its_body_is_looked_at(guarded: ServedShop) -> None:
    with Http(base_url=guarded.address) as nobody:
        assert nobody.post("/orders", content=b"{", headers={"content-type": "application/json"}).status_code == 401


def test_a_customer_may_leave_out_who_they_are_and_others_may_not(guarded: ServedShop) -> None:
    body = {"items": ORDER["items"]}
    placed = guarded.http.post("/orders", json=body, headers=customer(2))
    assert (placed.status_code, placed.json()["userId"], placed.json()["actor"]) == (201, 2, "customer:2")
    missing = guarded.http.post("/orders", json=body)
    assert (missing.status_code, missing.json()["field"]) == (400, "userId")
    guarded.http.campaign()
    assert guarded.http.post("/coupons", json={}, headers=customer(2)).json()["userId"] == 2


def test_anothers_order_is_as_if_it_were_not_there(guarded: ServedShop) -> None:
    assert guarded.http.order(1, (1, 1)).status_code == 201
    for order in (1, 99):
        read = guarded.http.get(f"/orders/{order}", headers=customer(2))
        cancelled = guarded.http.post(f"/orders/{order}/cancel", headers=customer(2))
        for answer in (read, cancelled):
            assert answer.status_code == 404
            assert {**answer.json(), "orderId": 0} == {**read.json(), "orderId": 0}
    own = guarded.http.post("/orders/1/cancel", headers=customer(1))
    assert (own.status_code, own.json()["cancelledBy"]) == (200, "customer:1")


def test_customers_cancel_nothing_where_that_is_forbidden(open_door: Callable[..., ServedShop]) -> None:
    shop = open_door(customers_cancel=False)
    set_up(shop)
    assert shop.http.post("/orders", json=ORDER, headers=customer(1)).status_code == 201
    refused = shop.http.post("/orders/1/cancel", headers=customer(1))
    assert (refused.status_code, refused.json()["type"]) == (403, "/problems/forbidden")
    assert shop.http.post("/orders/1/cancel").status_code == 200


def test_each_call_of_a_bulk_request_is_admitted_by_itself(guarded: ServedShop) -> None:
    calls = [
        {"call": "POST /orders", "key": "a", "body": {"items": ORDER["items"]}},
        {"call": "POST /orders", "body": {**ORDER, "userId": 1}},
        {"call": "POST /users/2/balance", "body": {"amount": 1}},
        {"call": "POST /orders/1/cancel"},
        {"call": "POST /keys", "body": {"name": "a", "scopes": ["read"]}},
    ]
    assert guarded.http.order(1, (1, 1)).json()["orderId"] == 1
    answers = guarded.http.post("/bulk", json=calls, headers=customer(2)).json()
    assert [each["status"] for each in answers] == [201, 403, 403, 404, 400]
    assert answers[0]["body"]["actor"] == "customer:2"
    assert [each["body"]["type"] for each in answers[1:3]] == ["/problems/not-yours", "/problems/forbidden"]
    placing = bearer(key(guarded.shop.settings.database, "orders:place"))
    answers = guarded.http.post("/bulk", json=[*calls[1:3]], headers=placing).json()
    assert [each["status"] for each in answers] == [201, 403]
    assert answers[1]["body"]["scope"] == "wallets:charge"


def test_the_idempotency_keys_of_callers_never_meet(guarded: ServedShop) -> None:
    other = bearer(key(guarded.shop.settings.database, *SCOPES))
    orders = set()
    for number, headers in enumerate(({}, other, customer(1)), 1):
        placed = guarded.http.post("/orders", json=ORDER, headers={"idempotency-key": "a", **headers})
        orders.add(placed.json()["orderId"])
        assert len(orders) == number
        assert "idempotency-replayed" not in placed.headers
        replayed = guarded.http.post("/orders", json=ORDER, headers={"idempotency-key": "a", **headers})
        assert (replayed.json(), replayed.headers["idempotency-replayed"]) == (placed.json(), "true")
    reused = guarded.http.post("/users/1/balance", json={"amount": 5}, headers={"idempotency-key": "a"})
    assert reused.status_code == 422
    third = bearer(key(guarded.shop.settings.database, *SCOPES))
    charged = guarded.http.post("/users/1/balance", json={"amount": 5}, headers={"idempotency-key": "a", **third})
    assert charged.status_code == 201, "it doesn't tell that others have used the key"


def test_who_did_it_is_shown(guarded: ServedShop) -> None:
    http, owner = guarded.http, customer(1)
    http.post("/orders", json=ORDER, headers=owner)
    http.post("/orders/1/cancel")
    http.post("/products/1/stock", json={"quantity": -3})
    http.patch("/products/1", json={"price": 900})
    http.campaign(discount=5)
    order = http.get("/orders/1").json()
    assert (order["actor"], order["cancelledBy"]) == ("customer:1", "key:1")
    ledger = http.get("/users/1/ledger").json()
    assert [(each["kind"], each["actor"]) for each in ledger] == [
        ("refund", "key:1"),
        ("payment", "customer:1"),
        ("charge", "key:1"),
    ]
    movements = http.get("/products/1/movements").json()
    assert [(each["quantity"], each["actor"]) for each in movements] == [(-3, "key:1"), (50, "key:1")]
    changes = http.get("/products/1/changes").json()
    assert [(each["kind"], each["values"], each["actor"]) for each in changes] == [
        ("changed", {"price": 900}, "key:1"),
        ("added", {"name": "Hallabong", "price": 1_000}, "key:1"),
    ]
    (started,) = http.get("/campaigns/1/changes").json()
    assert (started["kind"], started["values"]["discount"], started["actor"]) == ("added", 5, "key:1")


def test_movements_are_paged_newest_first(guarded: ServedShop) -> None:
    for quantity in (1, 2, 3):
        guarded.http.post("/products/1/stock", json={"quantity": quantity})
    first = guarded.http.get("/products/1/movements?limit=2")
    assert [each["quantity"] for each in first.json()] == [3, 2]
    rest = guarded.http.get(f"/products/1/movements{first.links['next']['url']}")
    assert [each["quantity"] for each in rest.json()] == [1, 50]
    assert "next" not in rest.links
    for path in ("/products/9/movements", "/products/9/changes", "/campaigns/9/changes"):
        assert guarded.http.get(path).status_code == 404


def test_an_open_shop_says_so_of_every_effect(shop: ServedShop) -> None:
    user, product = shop.http.user(balance=5_000), shop.http.product()
    assert shop.http.order(user, (product, 1)).json()["actor"] == "open"
    assert {each["actor"] for each in shop.http.get(f"/users/{user}/ledger").json()} == {"open"}
