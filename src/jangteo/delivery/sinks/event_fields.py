"""Decoders of the fields that sinks read from an event's text."""

from typing import Final

from msgspec import Raw, Struct, json


class EventId(Struct):
    """An event's id alone."""

    id: str


class EventFields(Struct):
    """An event's attributes, and its data as JSON text."""

    specversion: str
    id: str
    source: str
    type: str
    subject: str
    time: str
    datacontenttype: str
    data: Raw


READ_ID: Final = json.Decoder(EventId).decode
READ_FIELDS: Final = json.Decoder(EventFields).decode
