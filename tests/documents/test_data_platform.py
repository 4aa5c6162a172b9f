"""docs/data-platform.md is true: its events, its SQL, and its programs that verify a signature."""

from __future__ import annotations

import json
import re
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # its types are a package of their own
from standardwebhooks.webhooks import Webhook

from jangteo.api.event_schemas import address, event_schemas

PAGE = (Path(__file__).parents[2] / "docs" / "data-platform.md").read_text()
SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


EVENTS: list[dict[str, Any]] = [json.loads(block) for block in blocks("json")]


def test_the_events_match_the_schemas() -> None:
    assert [address(event["type"]) for event in EVENTS] == list(event_schemas())
    for event in EVENTS:
        schema = json.loads(json.dumps(event_schemas()[address(event["type"])]))
        Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(event)


def test_every_field_has_a_row() -> None:
    rows = set(re.findall(r"^\| `([\w\[\].]+)` \|", PAGE, re.MULTILINE))
    _, cancelled = EVENTS
    order = cancelled["data"]
    assert rows == {*cancelled, *order, *(f"items[].{field}" for field in order["items"][0])}


def test_the_sql_keeps_a_cancelled_order_cancelled() -> None:
    orders, _ = blocks("sql")
    create, insert = (f"{part};" for part in orders.split(";", 1))
    database = sqlite3.connect(":memory:")
    database.execute(create)
    for event in (*EVENTS, *EVENTS, *EVENTS[::-1]):
        order = event["data"]
        row = {
            "source": event["source"],
            "order_id": order["orderId"],
            "user_id": order["userId"],
            "status": order["status"],
            "total": order["total"],
            "created_at": order["createdAt"],
            "cancelled_at": order.get("cancelledAt"),
        }
        database.execute(insert.rstrip(";"), row)
    cancelled = database.execute("SELECT order_id, status, cancelled_at FROM shop_orders").fetchall()
    assert cancelled == [(236, "cancelled", EVENTS[1]["time"])]
    database.close()


def test_the_sql_recognizes_a_duplicate() -> None:
    _, seen = blocks("sql")
    create, insert = seen.split(";", 1)
    database = sqlite3.connect(":memory:")
    database.execute(create)
    counts = [
        database.execute(insert, {"source": event["source"], "id": event["id"]}).rowcount for event in EVENTS + EVENTS
    ]
    assert counts == [1, 1, 0, 0]
    database.close()


@pytest.mark.parametrize("program", blocks("python"), ids=["standardwebhooks", "by hand"])
def test_both_programs_verify_signatures(program: str) -> None:
    namespace: dict[str, Any] = {}
    exec(compile(program, "docs/data-platform.md", "exec"), namespace)
    read_events = namespace["read_events"]
    body = json.dumps(EVENTS, separators=(",", ":")).encode()
    headers = signed(body, datetime.now(UTC))
    assert read_events(SECRET, headers, body) == EVENTS
    both = {**headers, "webhook-signature": f"v1,AAAA {headers['webhook-signature']}"}
    assert read_events(SECRET, both, body) == EVENTS
    for wrong_headers, wrong_body in (
        (headers, body.replace(b"38000", b"38001")),
        ({**headers, "webhook-id": "another"}, body),
        ({**headers, "webhook-signature": "v1,AAAA"}, body),
        (signed(body, datetime.now(UTC) - timedelta(minutes=6)), body),
        (signed(body, datetime.now(UTC) + timedelta(minutes=6)), body),
    ):
        with pytest.raises(Exception, match=r"sign|too old|too new|No matching"):
            read_events(SECRET, wrong_headers, wrong_body)


def signed(body: bytes, at: datetime) -> dict[str, str]:
    return {
        "webhook-id": "some-id",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(SECRET).sign("some-id", at, body.decode()),
    }
