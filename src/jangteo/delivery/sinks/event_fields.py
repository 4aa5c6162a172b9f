"""What a sink reads of an event's text."""

from typing import Final

from msgspec import Raw, Struct, json


class Named(Struct):
    """An event by its id alone."""

    id: str


class Parts(Struct):
    """An event's attributes, and its data as the text it is."""

    specversion: str
    id: str
    source: str
    type: str
    subject: str
    time: str
    datacontenttype: str
    data: Raw


READ_ID: Final = json.Decoder(Named).decode
READ_PARTS: Final = json.Decoder(Parts).decode
