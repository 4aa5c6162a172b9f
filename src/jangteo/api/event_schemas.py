"""JSON Schemas of the events for the data platform, one for each type, generated from the types that are sent.

Receivers may validate events with them. They allow unknown fields, because later versions may add some.
"""

from datetime import timedelta
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from jangteo.api.examples import RESULTS
from jangteo.core.entities import Order
from jangteo.core.events import Event, order_cancelled, order_paid
from jangteo.storage.outbox import CloudEvent, cloud_event

EVENTS: Final = "/schema/events"
"""The path of the list of schemas."""

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_SHOP: Final = "7d1f0c2a9b3e"
# Shops of early versions had no name; their events from that time keep their ids and source.
_ID: Final = r"^([0-9a-f]{12}-)?order-[1-9][0-9]{0,15}-"
_SOURCE: Final = r"^/jangteo(/[0-9a-f]{12})?$"
_SUBJECT: Final = r"^[1-9][0-9]{0,15}$"
_ORDER: Final[Order] = RESULTS[Order]
_CANCELLED_AT: Final = _ORDER.created_at + timedelta(hours=2)
EXAMPLES: Final = (
    order_paid(_ORDER, _ORDER.created_at),
    order_cancelled(
        replace(_ORDER, status="cancelled", cancelled_at=_CANCELLED_AT, cancelled_by="key:2"), _CANCELLED_AT
    ),
)
"""One event of each type."""

_TITLES: Final = {
    "jangteo.order.paid": "An order was placed and paid",
    "jangteo.order.cancelled": "An order was cancelled and its money returned",
}
_DESCRIPTIONS: Final = {
    "CloudEvent": {
        "specversion": "The version of CloudEvents.",
        "id": "The event's id: the same however often it is sent, and unique.",
        "source": "The shop, by the name it got when it was created.",
        "type": "What happened.",
        "subject": "The order's id.",
        "time": "When it happened. RFC 3339, UTC.",
        "datacontenttype": "The media type of `data`.",
        "data": "The whole order right after the event.",
    },
    "Order": {
        "orderId": "The order's id.",
        "userId": "The user who ordered and paid.",
        "status": "The order's status after this event.",
        "items": "The ordered products, each at most once.",
        "amount": "The sum of the items' amounts. In the currency's minor unit.",
        "discount": "What the coupon took off; 0 without one. In the currency's minor unit.",
        "total": "What the user paid: `amount` less `discount`. In the currency's minor unit.",
        "couponId": "The coupon that was used; null without one.",
        "createdAt": "When the order was placed and paid. RFC 3339, UTC.",
        "cancelledAt": "When it was cancelled and its money returned. RFC 3339, UTC.",
        "actor": "Who placed the order: `key:3` is an API key, `customer:7` a user. Older events don't say.",
        "cancelledBy": "Who cancelled it, as `actor`. Older events don't say.",
    },
    "OrderItem": {
        "productId": "The product.",
        "quantity": "How many of it.",
        "unitPrice": "The price of one when it was ordered. In the currency's minor unit.",
        "amount": "`unitPrice` times `quantity`. In the currency's minor unit.",
    },
}


def address(event_type: str) -> str:
    """Return the path of an event type's schema."""
    return f"{EVENTS}/{event_type}.json"


def event_schemas() -> dict[str, dict[str, Any]]:
    """Return the schemas by their paths, ready to be encoded as JSON."""
    return {address(example.type): _schema(example) for example in EXAMPLES}


def index() -> dict[str, Any]:
    """Return the list of schemas, for programs."""
    return {
        "events": [
            {"type": example.type, "description": _TITLES[example.type], "schema": address(example.type)}
            for example in EXAMPLES
        ]
    }


def _schema(example: Event) -> dict[str, Any]:
    _, definitions = msgspec.json.schema_components([CloudEvent], ref_template="#/$defs/{name}")
    for name, descriptions in _DESCRIPTIONS.items():
        for field, description in descriptions.items():
            _describe(definitions[name]["properties"], field, description)
    _narrow_order(definitions["Order"], example.order)
    event = definitions.pop("CloudEvent")
    _narrow_envelope(event["properties"], example)
    return {
        "$schema": _DIALECT,
        "$id": address(example.type),
        **event,
        "title": example.type,
        "description": f"{_TITLES[example.type]}. CloudEvents 1.0 in JSON.",
        "examples": [msgspec.to_builtins(cloud_event(_SHOP, example))],
        "$defs": definitions,
    }


def _describe(properties: dict[str, Any], field: str, description: str) -> None:
    schema = properties[field]
    for choice in schema.get("anyOf", ()):
        choice.pop("description", None)
    properties[field] = {
        "description": description,
        **{name: value for name, value in schema.items() if name != "description"},
    }


def _narrow_order(schema: dict[str, Any], order: Order) -> None:
    """Allow only the example's status, and `cancelledAt` and `cancelledBy` only for cancelled orders."""
    properties = schema["properties"]
    del schema["description"]
    properties["items"]["minItems"] = 1
    properties["status"] = {"description": properties["status"]["description"], "const": order.status}
    for name in ("cancelledAt", "cancelledBy"):
        optional = properties.pop(name)
        if order.cancelled_at is not None:
            properties[name] = {"description": optional["description"], **optional["anyOf"][0]}
    if order.cancelled_at is not None:
        schema["required"].append("cancelledAt")


def _narrow_envelope(properties: dict[str, Any], example: Event) -> None:
    properties["specversion"]["const"] = "1.0"
    properties["id"]["pattern"] = f"{_ID}{example.order.status}$"
    properties["source"]["pattern"] = _SOURCE
    properties["type"]["const"] = example.type
    properties["subject"]["pattern"] = _SUBJECT
    properties["time"]["format"] = "date-time"
    properties["datacontenttype"]["const"] = "application/json"
