"""A stored event as the platform reads it: CloudEvents 1.0 in JSON."""

from datetime import datetime
from typing import Final

import msgspec
from msgspec import Struct

from jangteo.storage.outbox import StoredEvent

SOURCE: Final = "/jangteo"
_encode = msgspec.json.Encoder().encode


class CloudEvent(Struct, frozen=True, kw_only=True):
    """One event, with the attributes that CloudEvents 1.0 names."""

    specversion: str = "1.0"
    id: str
    source: str = SOURCE
    type: str
    subject: str
    time: datetime
    datacontenttype: str = "application/json"
    data: msgspec.Raw


def as_json(event: StoredEvent) -> bytes:
    """One event as JSON, without a line break in it."""
    return _encode(
        CloudEvent(
            id=event.event_id,
            type=event.type,
            subject=str(event.order_id),
            time=event.happened_at,
            data=msgspec.Raw(event.data.encode()),
        )
    )
