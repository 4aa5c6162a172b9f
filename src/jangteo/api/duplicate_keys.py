"""Objects that name a field twice. JSON parsers disagree about them (RFC 8259, 4), so none is taken here.

A part that is decoded later (`msgspec.Raw`) is looked into then, not before.

The decoder silently takes the last value, and keeping count for it costs too much. But a document whose strings hold no
colon has as many colons as fields; where that is the number of fields that the decoded body has for certain, none is
named twice. Only other documents, which are few, are parsed a second time.
"""

import json
from collections.abc import Callable
from functools import cache
from typing import Any, get_args

import msgspec
from msgspec import Raw, Struct


def find(raw: bytes, body: Struct | list[Struct]) -> str | None:
    """Return the path of a field that an object in the document names twice, `items[0].quantity`; None if none does.

    `body` is what was decoded from the document.
    """
    if isinstance(body, list):
        kind = type(body[0])
        given = sum(map(_counter(kind), body))
    else:
        kind = type(body)
        given = _counter(kind)(body)
    if raw.count(b":") == given:
        return None
    return _search(json.loads(raw, object_pairs_hook=tuple), "", _undecoded(kind))


def _search(value: Any, path: str, undecoded: frozenset[str] = frozenset()) -> str | None:
    """Search a value whose objects are tuples of their members."""
    names: set[str] = set()
    for name, member in value if isinstance(value, tuple) else ():
        path_of_member = f"{path}.{name}" if path else name
        if name in names:
            return path_of_member
        names.add(name)
        if name not in undecoded and (found := _search(member, path_of_member, undecoded)):
            return found
    for index, item in enumerate(value if isinstance(value, list) else ()):
        if found := _search(item, f"{path}[{index}]", undecoded):
            return found
    return None


@cache
def _counter(kind: type[Struct]) -> Callable[[Any], int]:
    """Return what counts the fields that a document of this type has for certain: with defaults it may have more."""
    fields = msgspec.structs.fields(kind)
    required = sum(each.required for each in fields)
    optional = [(each.name, each.default) for each in fields if not each.required]
    undecoded = _undecoded(kind)
    lists = [
        (each.name, sum(inner.required for inner in item)) for each in fields if (item := _items(each.type)) is not None
    ]

    def count(body: Any) -> int:
        given = required
        for name, default in optional:
            given += getattr(body, name) is not default
        for name, size in lists:
            given += size * len(getattr(body, name))
        for name in undecoded:
            part = getattr(body, name)
            given += bytes(part).count(b":") if isinstance(part, Raw) else 0
        return given

    return count


@cache
def _undecoded(kind: type[Struct]) -> frozenset[str]:
    """Return the fields whose values are decoded later."""
    return frozenset(each.encode_name for each in msgspec.structs.fields(kind) if _holds_raw(each.type))


def _holds_raw(field: Any) -> bool:
    return field is Raw or any(map(_holds_raw, get_args(field)))


def _items(field: Any) -> tuple[msgspec.structs.FieldInfo, ...] | None:
    """Return the fields of the objects that a list holds; None for any other field."""
    for each in (field, *get_args(field)):
        if isinstance(each, type) and issubclass(each, Struct):
            return msgspec.structs.fields(each)
    nested = get_args(field)
    return _items(nested[0]) if nested else None
