"""Events by their ids, as operators name them: in full, or without the shop's name."""

import re
from typing import Final

import msgspec
import typer

from jangteo.app import system_clock
from jangteo.storage import event_queries
from jangteo.storage.event_queries import KeptEvent
from jangteo.storage.port import Connection

_EVENT_ID: Final = re.compile(r"(?:[0-9a-f]+-)?order-([0-9]{1,16})-(paid|cancelled)")


class _EventId(msgspec.Struct):
    id: str


_decode_id = msgspec.json.Decoder(_EventId).decode


def id_of(event: KeptEvent) -> str:
    """Return an event's id in full."""
    return _decode_id(event.text).id


def find_event(connection: Connection, named: str) -> KeptEvent:
    """Return the event with this id. Raises typer.BadParameter if it is no id, or there is no such event."""
    parts = _EVENT_ID.fullmatch(named)
    if parts is None:
        raise typer.BadParameter(f"{named} is not an event's id: they look like order-236-paid")
    with connection.snapshot(system_clock()) as snapshot:
        found = event_queries.read_events_of(snapshot, int(parts[1]))
    for each in found:
        event_id = id_of(each)
        # The shop's name may be left out; if it is given, it must be this shop's.
        if event_id == named or (named.startswith("order-") and event_id.endswith(f"-{named}")):
            return each
    raise typer.BadParameter(f"there is no event {named}, or it has been purged")
