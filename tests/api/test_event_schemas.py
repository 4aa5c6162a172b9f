"""The event schemas are valid, accept every event that a shop sends, and reject damaged ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from typing import Any, get_args

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # its types are a package of their own

from jangteo.api.event_schemas import EXAMPLES, address, event_schemas
from jangteo.core.events import EventType
from tests.serving import ServedShop

SCHEMAS: dict[str, Any] = json.loads(json.dumps(event_schemas()))
PAID = SCHEMAS[address("jangteo.order.paid")]
CANCELLED = SCHEMAS[address("jangteo.order.cancelled")]
BOTH = pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)


def errors(schema: dict[str, Any], event: dict[str, Any]) -> list[str]:
    validator = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(event)]


@BOTH
def test_a_schema_is_valid_and_self_contained(schema: dict[str, Any]) -> None:
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
    assert all(ref.startswith("#/$defs/") for ref in values_of(schema, "$ref"))


@BOTH
def test_a_schema_describes_every_field(schema: dict[str, Any]) -> None:
    for each in (schema, *schema["$defs"].values()):
        assert [name for name, field in each["properties"].items() if not field.get("description")] == []


@BOTH
def test_a_schema_accepts_its_example(schema: dict[str, Any]) -> None:
    (example,) = schema["examples"]
    assert errors(schema, example) == []
    assert example["source"] == f"/jangteo/{example['id'].partition('-')[0]}"


def test_every_event_type_has_a_schema() -> None:
    assert [example.type for example in EXAMPLES] == list(get_args(EventType))


def test_the_schemas_accept_what_a_shop_sends(shop: ServedShop) -> None:
    http = shop.http
    user = http.user(balance=100_000)
    ordinary, other, gift = http.product(price=1_000), http.product(price=1), http.product(price=0)
    coupon = http.coupon(user, http.campaign(discount=5_000))
    http.order(user, (ordinary, 2), (other, 1))
    free = http.order(user, (ordinary, 3), coupon=coupon).json()["orderId"]
    http.order(user, (gift, 1))
    http.post(f"/orders/{free}/cancel")
    shop.close()
    events = [json.loads(line) for line in shop.events_file.read_text().splitlines()]
    assert [event["data"]["total"] for event in events] == [2_001, 0, 0, 0]
    assert [event["type"].rpartition(".")[2] for event in events] == ["paid", "paid", "paid", "cancelled"]
    for event in events:
        assert errors(SCHEMAS[address(event["type"])], event) == []
        assert errors(PAID if event["type"] == "jangteo.order.cancelled" else CANCELLED, event)


DAMAGED: dict[str, Callable[[dict[str, Any]], Any]] = {
    "another type": lambda event: event.update(type="jangteo.order.shipped"),
    "another version": lambda event: event.update(specversion="0.3"),
    "no id": lambda event: event.pop("id"),
    "another's id": lambda event: event.update(id="7d1f0c2a9b3e-order-1-shipped"),
    "another's source": lambda event: event.update(source="/elsewhere"),
    "an empty subject": lambda event: event.update(subject=""),
    "an invalid timestamp": lambda event: event.update(time="yesterday"),
    "no total": lambda event: event["data"].pop("total"),
    "a negative amount": lambda event: event["data"].update(amount=-1),
    "an amount with a fraction": lambda event: event["data"].update(amount=0.5),
    "an amount as text": lambda event: event["data"].update(amount="24000"),
    "an amount above 2^53 - 1": lambda event: event["data"].update(amount=2**53),
    "another status": lambda event: event["data"].update(status="shipped"),
    "no couponId": lambda event: event["data"].pop("couponId"),
    "no items": lambda event: event["data"].update(items=[]),
    "none of a product": lambda event: event["data"]["items"][0].update(quantity=0),
    "an item without its price": lambda event: event["data"]["items"][0].pop("unitPrice"),
}


@BOTH
@pytest.mark.parametrize("damage", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_event_is_rejected(schema: dict[str, Any], damage: Callable[[dict[str, Any]], Any]) -> None:
    event = deepcopy(schema["examples"][0])
    damage(event)
    assert errors(schema, event)


def test_a_cancelled_order_needs_cancelled_at() -> None:
    event = deepcopy(CANCELLED["examples"][0])
    event["data"]["cancelledAt"] = None
    assert errors(CANCELLED, event)
    del event["data"]["cancelledAt"]
    assert errors(CANCELLED, event)


@BOTH
def test_unknown_fields_are_accepted(schema: dict[str, Any]) -> None:
    event = deepcopy(schema["examples"][0])
    event["traceparent"] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    event["data"]["currency"] = event["data"]["items"][0]["currency"] = "KRW"
    assert errors(schema, event) == []


def test_the_schemas_are_served_at_their_ids(shop: ServedShop) -> None:
    http = shop.http
    listed = http.get("/schema/events")
    assert listed.headers["content-type"] == "application/json"
    assert [each["type"] for each in listed.json()["events"]] == list(get_args(EventType))
    page = http.get("/schema", headers={"accept": "text/html"}).text
    for each in listed.json()["events"]:
        answer = http.get(each["schema"])
        assert answer.headers["content-type"] == "application/schema+json"
        assert answer.json() == SCHEMAS[answer.json()["$id"]]
        assert answer.json()["$id"] == each["schema"]
        assert f'href="{each["schema"]}"' in page


def values_of(tree: Any, key: str) -> list[Any]:
    """All values of this key, at any depth."""
    found: list[Any] = []
    if isinstance(tree, dict):
        found += [tree[key]] if key in tree else []
        tree = list(tree.values())
    if isinstance(tree, list):
        for each in tree:
            found += values_of(each, key)
    return found
