"""POST /bulk: each call is executed in its turn, and answered as if it had come alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jangteo.api import problems
from jangteo.settings import Settings
from tests.postgres import EMPTY_SHOP, Server
from tests.serving import ServedShop, serve_in_thread

JSON = {"content-type": "application/json"}
Calls = list[dict[str, Any]]


def bulk(shop: ServedShop, calls: Calls) -> list[dict[str, Any]]:
    answer = shop.http.post("/bulk", json=calls)
    assert answer.status_code == 200, answer.text
    answers: list[dict[str, Any]] = answer.json()
    assert len(answers) == len(calls)
    return answers


def alone(shop: ServedShop, call: dict[str, Any]) -> dict[str, Any]:
    """What one call of a bulk request is answered as a request of its own, in the form of a bulk request's answers."""
    method, _, path = call["call"].partition(" ")
    headers = JSON if call.get("key") is None else {**JSON, "idempotency-key": call["key"]}
    content = json.dumps(call["body"]) if "body" in call else None
    answer = shop.http.request(method, path, content=content, headers=headers)
    replayed = {"replayed": True} if answer.headers.get("idempotency-replayed") == "true" else {}
    retry = {"retryAfter": int(answer.headers["retry-after"])} if "retry-after" in answer.headers else {}
    return {"status": answer.status_code, "body": answer.json(), **replayed, **retry}


def test_calls_are_executed_in_their_order(shop: ServedShop) -> None:
    product = shop.http.product(price=1_000)
    order = {"userId": 1, "items": [{"productId": product, "quantity": 2}]}
    answers = bulk(
        shop,
        [
            {"call": "POST /users"},
            {"call": "POST /orders", "body": order},
            {"call": "POST /users/1/balance", "body": {"amount": 2_000}},
            {"call": "POST /orders", "body": order},
            {"call": "PATCH /products/1", "body": {"price": 5}},
            {"call": "POST /orders/1/cancel"},
        ],
    )
    assert [each["status"] for each in answers] == [201, 400, 201, 201, 200, 200]
    assert answers[1]["body"]["type"] == "/problems/insufficient-balance"
    assert shop.http.get("/users/1/balance").json() == {"balance": 2_000}


def test_a_request_of_several_batches_is_executed_in_order(shop: ServedShop) -> None:
    shop.http.user()
    answers = bulk(shop, [{"call": "POST /users/1/balance", "body": {"amount": 1}}] * 1_000)
    assert [each["body"]["balance"] for each in answers] == list(range(1, 1_001))


def test_a_key_is_that_of_its_call(shop: ServedShop) -> None:
    charge = {"call": "POST /users/1/balance", "key": "a", "body": {"amount": 7}}
    shop.http.user()
    first, second, other = bulk(shop, [charge, charge, {**charge, "body": {"amount": 8}}])
    assert first == {"status": 201, "body": {"userId": 1, "balance": 7}}
    assert second == {**first, "replayed": True}
    assert other["status"] == 422
    assert alone(shop, charge) == second


WRONG_CALLS: Calls = [
    {"call": "POST /nothing"},
    {"call": "DELETE /orders"},
    {"call": "POST /users/x/balance?y=1", "body": {"amount": 1}},
    {"call": "POST /users?x=1"},
    {"call": "POST /users/9/balance", "body": {"amount": 1}},
    {"call": "POST /users/1/balance", "body": {"amount": "x"}},
    {"call": "POST /orders"},
    {"call": "POST /orders", "body": None},
    {"call": "POST /orders", "body": [1]},
    {"call": "POST /orders", "body": {"userId": 1, "items": [], "total": 1}},
    {"call": "POST /users", "key": ""},
    {"call": "POST /users", "key": "x" * 256},
    {"call": "POST /users", "body": {"name": "x" * 70_000}},
]


def test_a_wrong_call_is_answered_as_alone_and_disturbs_no_other(shop: ServedShop) -> None:
    shop.http.user()
    charge = {"call": "POST /users/1/balance", "body": {"amount": 1}}
    answers = bulk(shop, [call for wrong in WRONG_CALLS for call in (wrong, charge)])
    assert [each["status"] for each in answers[1::2]] == [201] * len(WRONG_CALLS)
    assert answers[::2] == [alone(shop, wrong) for wrong in WRONG_CALLS]


@pytest.mark.parametrize("call", ["GET /users/1/balance", "HEAD /products", "POST /bulk", "POST users", "", "POST"])
def test_what_is_no_command_is_refused_by_name(shop: ServedShop, call: str) -> None:
    refused, registered = bulk(shop, [{"call": call}, {"call": "POST /users"}])
    assert (refused["status"], refused["body"]["field"]) == (400, "call")
    assert registered["status"] == 201


def test_a_field_given_twice_is_refused_where_it_is(shop: ServedShop) -> None:
    content = '[{"call": "POST /users", "key": "a:b"}, {"call": "POST /users", "body": {"name": "a", "name": "b"}}]'
    first, second = shop.http.post("/bulk", content=content, headers=JSON).json()
    assert (first["status"], second["status"], second["body"]["field"]) == (201, 400, "name")


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ("", "body"),
        ("[]", "body"),
        ("{}", "body"),
        ("[1]", "[0]"),
        ("[" + ",".join(['{"call":"POST /users"}'] * 1_001) + "]", "body"),
        ('[{"call": "POST /users"}, {}]', "[1].call"),
        ('[{"call": 1}]', "[0].call"),
        ('[{"call": "POST /users", "key": 1}]', "[0].key"),
        ('[{"call": "POST /users", "method": "POST"}]', "[0].method"),
        ('[{"call": "POST /users", "call": "POST /users"}]', "[0].call"),
        ('[{"call": "POST /users", "body": {"name": "a"}, "body": {}}]', "[0].body"),
    ],
)
def test_what_is_no_list_of_calls_is_refused_as_a_whole(shop: ServedShop, content: str, field: str) -> None:
    answer = shop.http.post("/bulk", content=content, headers=JSON)
    assert (answer.status_code, answer.json()["field"]) == (400, field)
    assert shop.http.user() == 1


def test_the_request_itself_takes_no_key(shop: ServedShop) -> None:
    answer = shop.http.post("/bulk", json=[{"call": "POST /users"}], headers={"idempotency-key": "a"})
    assert (answer.status_code, answer.json()["field"]) == (400, "Idempotency-Key")
    assert shop.http.user() == 1


def test_a_body_may_be_larger_than_those_of_other_paths(shop: ServedShop) -> None:
    calls = json.dumps([{"call": "POST /users", "body": {"name": "x" * 150}}] * 1_000)
    assert len(calls) > 65_536
    assert shop.http.post("/bulk", content=calls, headers=JSON).status_code == 200
    assert shop.http.post("/users", content=calls, headers=JSON).status_code == 413
    assert shop.http.post("/bulk", content=calls + " " * 2**21, headers=JSON).status_code == 413


def test_calls_that_the_queue_has_no_room_for_are_refused_one_by_one(open_shop: Callable[..., ServedShop]) -> None:
    shop = open_shop(queue_max=3)
    answers = bulk(shop, [{"call": "POST /users"}] * 5)
    statuses = [each["status"] for each in answers]
    assert statuses == sorted(statuses)
    assert set(statuses) == {201, 503}
    assert answers[-1]["body"]["type"] == "/problems/overloaded"
    assert {each.get("retryAfter") for each in answers if each["status"] == 503} == {problems.RETRY_AFTER_S}


ids = st.integers(1, 3)
a_call = st.one_of(
    st.just(("POST /users", {})),
    st.builds(lambda user, amount: (f"POST /users/{user}/balance", {"amount": amount}), ids, st.integers(-1, 3_000)),
    st.builds(lambda product, by: (f"POST /products/{product}/stock", {"quantity": by}), ids, st.integers(-3, 5)),
    st.builds(lambda user, campaign: ("POST /coupons", {"userId": user, "campaignId": campaign}), ids, ids),
    st.builds(
        lambda user, product, quantity: (
            "POST /orders",
            {"userId": user, "items": [{"productId": product, "quantity": quantity}]},
        ),
        ids, ids, st.integers(0, 3),
    ),
    st.builds(lambda product, price: (f"PATCH /products/{product}", {"price": price}), ids, st.integers(-1, 900)),
).map(lambda call: {"call": call[0], "body": call[1]})  # fmt: skip
keys = st.none() | st.sampled_from("abc")


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(calls=st.lists(st.tuples(a_call, keys), min_size=1, max_size=12), example=st.uuids())
def test_a_bulk_request_equals_its_calls_one_by_one(
    two_shops: tuple[ServedShop, ServedShop], calls: list[tuple[dict[str, Any], str | None]], example: Any
) -> None:
    one, other = two_shops
    made = [call if key is None else {**call, "key": f"{key}-{example}"} for call, key in calls]
    # Both shops have executed the same commands before, so that new ids and balances are the same, too.
    assert without_ids_and_times(bulk(one, made)) == without_ids_and_times([alone(other, call) for call in made])
    for path in ("/users/1/balance", "/users/2/balance", "/products"):
        assert one.http.get(path).json() == other.http.get(path).json()


_NEW_IDS = frozenset({"userId", "orderId", "couponId"})
"""They may have gaps on PostgreSQL."""


def without_ids_and_times(value: Any) -> Any:
    match value:
        case dict():
            return {name: without_ids_and_times(each) for name, each in value.items() if name not in _NEW_IDS}
        case list():
            return [without_ids_and_times(each) for each in value]
        case str() if value.startswith("20") and "T" in value:
            return "a time"
    return value


@pytest.fixture(params=["sqlite", "postgres"])
def two_shops(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[ServedShop, ServedShop]]:
    """Two shops on databases of the same kind, with the same users, products and campaigns."""
    with ExitStack() as stack:
        shops = [stack.enter_context(filled_shop(request, tmp_path, name)) for name in ("one", "other")]
        yield shops[0], shops[1]


@contextmanager
def filled_shop(request: pytest.FixtureRequest, folder: Path, name: str) -> Iterator[ServedShop]:
    url = f"sqlite:///{folder}/{name}.db"
    if request.param == "postgres":
        server: Server = request.getfixturevalue("postgres")
        url = server.create(f"bulk_{name}_{uuid4().hex}", template=EMPTY_SHOP)
    shop = serve_in_thread(Settings(database=url, writer="thread", batch_max=4, platform=f"file:{folder}/{name}"))
    for number in range(1, 4):
        shop.http.user(balance=1_000 * number)
        shop.http.product(price=300 * number)
        shop.http.campaign(quantity=number)
    yield shop
    shop.close()
    if request.param == "postgres":
        server.drop(url.rpartition("/")[2])
