"""Made-up events as the outbox stores them, and closing the sinks they are sent to."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from jangteo.delivery.sinks.base import Sink

T = TypeVar("T", bound=Sink)


def event(order: int, status: str = "paid", **more: Any) -> bytes:
    """The text of one order's CloudEvent, about 600 bytes."""
    items = [{"productId": line, "quantity": 2, "price": 12_000, "name": "Hallabong"} for line in range(1, 5)]
    data = {"orderId": order, "userId": 7, "status": status, "items": items, "total": 96_000, **more}
    envelope = {
        "specversion": "1.0",
        "id": f"7d1f0c2a9b3e-order-{order}-{status}",
        "source": "/jangteo/7d1f0c2a9b3e",
        "type": f"jangteo.order.{status}",
        "subject": str(order),
        "time": "2026-11-24T01:20:18.496672Z",
        "datacontenttype": "application/json",
        "data": data,
    }
    return json.dumps(envelope, separators=(",", ":"), ensure_ascii=False).encode()


def ids(events: list[bytes]) -> list[str]:
    return [json.loads(text)["id"] for text in events]


@asynccontextmanager
async def closed_after(sink: T) -> AsyncIterator[T]:
    """Close the sink even if the test fails: an event loop that ends with open connections may hang."""
    try:
        yield sink
    finally:
        await sink.close()
