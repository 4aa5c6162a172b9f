"""A malformed request is answered with 400 and the name of the wrong field, never with 500, and changes nothing."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest

from jangteo.core.limits import LARGEST
from tests.serving import ServedShop

ITEM = {"productId": 1, "quantity": 1}
COMPLETE = b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n"
HEADERS = b"POST /users HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\n"
JSON = {"content-type": "application/json"}

ORDERS = [
    ({}, "items"),
    ({"items": [ITEM]}, "userId"),
    ({"userId": 1}, "items"),
    ({"userId": 1, "items": []}, "items"),
    ({"userId": 1, "items": {}}, "items"),
    ({"userId": 1, "items": [ITEM] * 101}, "items"),
    ({"userId": "1", "items": [ITEM]}, "userId"),
    ({"userId": 0, "items": [ITEM]}, "userId"),
    ({"userId": -1, "items": [ITEM]}, "userId"),
    ({"userId": LARGEST + 1, "items": [ITEM]}, "userId"),
    ({"userId": 1.5, "items": [ITEM]}, "userId"),
    ({"userId": None, "items": [ITEM]}, "userId"),
    ({"userId": True, "items": [ITEM]}, "userId"),
    ({"userId": 1, "items": [ITEM, {"productId": 1}]}, "items[1].quantity"),
    ({"userId": 1, "items": [{"productId": 1, "quantity": 0}]}, "items[0].quantity"),
    ({"userId": 1, "items": [{"productId": 1, "quantity": 2.5}]}, "items[0].quantity"),
    ({"userId": 1, "items": [ITEM | {"price": 1}]}, "items[0].price"),
    ({"userId": 1, "items": [1]}, "items[0]"),
    ({"userId": 1, "items": [ITEM], "couponId": "x"}, "couponId"),
    ({"userId": 1, "items": [ITEM], "total": 1}, "total"),
    ([], "body"),
    (None, "body"),
    ("order", "body"),
]


@pytest.mark.parametrize(("body", "field"), ORDERS)
def test_the_malformed_field_of_an_order_is_named(shop: ServedShop, body: Any, field: str) -> None:
    answer = shop.http.post("/orders", json=body)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["field"] == field


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nonsense",
        b"\xff\xfe",
        b'{"userId": NaN}',
        b'{"userId": 1, "items": [{"productId": 1, "quantity": 1}]} trailing',
        b"[" * 60_000,
        b'"\\ud800"',
    ],
)
def test_a_body_that_is_not_json_is_refused(shop: ServedShop, body: bytes) -> None:
    answer = shop.http.post("/orders", content=body, headers=JSON)
    assert answer.status_code == 400
    assert answer.json()["field"] == "body"


@pytest.mark.parametrize("number", ["abc", "0", "-1", "1.5", "9007199254740992", "9" * 400])
@pytest.mark.parametrize(
    ("method", "path", "field"),
    [
        ("GET", "/users/{}/balance", "userId"),
        ("GET", "/products/{}", "productId"),
        ("POST", "/orders/{}/cancel", "orderId"),
    ],
)
def test_a_malformed_id_is_named(shop: ServedShop, method: str, path: str, field: str, number: str) -> None:
    answer = shop.http.request(method, path.format(number))
    assert (answer.status_code, answer.json()["field"]) == (400, field)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/products/%31"),
        ("GET", "/products%2F1"),
        ("GET", "/%70roducts"),
        ("GET", "/users%2F1%2Fbalance"),
        ("GET", "/users/1%2Fbalance"),
        ("GET", "/users/1/b%61lance"),
        ("GET", "/products/%00"),
        ("GET", "/%73chema"),
        ("POST", "/orders/%31/cancel"),
    ],
)
def test_a_path_has_one_spelling_so_that_a_proxys_rules_hold(shop: ServedShop, method: str, path: str) -> None:
    assert shop.http.product() == shop.http.user() == 1
    answer = shop.http.request(method, path)
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found")


@pytest.mark.parametrize("key", ["", "k" * 256, "with space", "tab\there", "köy"])
def test_a_malformed_idempotency_key_is_named(shop: ServedShop, key: str) -> None:
    answer = shop.http.post("/users", headers={b"idempotency-key": key.encode()})
    assert (answer.status_code, answer.json()["field"]) == (400, "Idempotency-Key")


def test_two_idempotency_keys_are_refused(shop: ServedShop) -> None:
    answer = shop.http.post("/users", headers=[("idempotency-key", "a"), ("idempotency-key", "b")])
    assert (answer.status_code, answer.json()["field"]) == (400, "Idempotency-Key")


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data"])
def test_a_form_from_another_site_is_refused(shop: ServedShop, content_type: str) -> None:
    answer = shop.http.post("/users", content=b"{}", headers={"content-type": content_type})
    assert (answer.status_code, answer.json()["type"]) == (415, "/problems/unsupported-media-type")


@pytest.mark.parametrize(
    "content_type", ["application/json", "Application/JSON; charset=utf-8", "application/vnd.a+json"]
)
def test_every_json_content_type_is_accepted(shop: ServedShop, content_type: str) -> None:
    assert shop.http.post("/users", content=b"{}", headers={"content-type": content_type}).status_code == 201


def test_unknown_paths_and_methods(shop: ServedShop) -> None:
    for path in ("/nothing", "/orders/1/cancel/x", "/products/", "/users/1"):
        answer = shop.http.get(path)
        assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found"), path
    answer = shop.http.delete("/products/1")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, PATCH")
    answer = shop.http.post("/schema")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


def test_head_answers_like_get_without_a_body(shop: ServedShop) -> None:
    shop.http.product()
    head, get = shop.http.head("/products/1"), shop.http.get("/products/1")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == get.headers["content-length"]


def test_a_body_above_the_limit_is_refused(open_shop: Callable[..., ServedShop]) -> None:
    http = open_shop(body_max_bytes=1_000).http
    body = b'{"name": "' + b"x" * 2_000 + b'"}'
    for content in (body, iter([body[:900], body[900:]])):
        answer = http.post("/users", content=content, headers=JSON)
        assert (answer.status_code, answer.json()["type"]) == (413, "/problems/content-too-large")


def test_an_incomplete_request_is_not_executed(shop: ServedShop) -> None:
    http = shop.http
    order = http.order(http.user(balance=1_000), (http.product(), 1)).json()
    host, port = shop.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as leaving:
        leaving.sendall(b"POST /orders/1/cancel HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n")
    assert http.get("/health/ready").status_code == 200
    assert http.get("/orders/1").json() == order


def test_malformed_requests_change_nothing_and_use_no_key(shop: ServedShop) -> None:
    for body, _ in ORDERS:
        shop.http.post("/orders", json=body, headers={"idempotency-key": "same"})
    assert shop.http.post("/users", headers={"idempotency-key": "same"}).json() == {"userId": 1, "balance": 0}
