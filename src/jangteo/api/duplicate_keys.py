"""Objects that name a field twice. JSON parsers disagree about them (RFC 8259, 4), so none is taken here.

The decoder silently takes the last value, and keeping count for it costs too much. But a document whose strings hold no
colon has as many colons as fields; where that is the number of fields that the decoded body has for certain, none is
named twice. Only other documents, which are few, are parsed a second time.
"""

import json
from collections.abc import Callable
from functools import cache
from typing import Any, get_args

import msgspec
from msgspec import Struct


def find(raw: bytes, body: Struct) -> str | None:
    """Return the path of a field that an object in the document names twice, `items[0].quantity`; None if none does.

    `body` is what was decoded from the document.
    """
    if raw.count(b":") == _counter(type(body))(body):
        return None
    return _search(json.loads(raw, object_pairs_hook=tuple), "")


def _search(value: Any, path: str) -> str | None:
    """Search a value whose objects are tuples of their members."""
    names: set[str] = set()
    for name, member in value if isinstance(value, tuple) else ():
        path_of_member = f"{path}.{name}" if path else name
        if name in names:
            return path_of_member
        names.add(name)
        if found := _search(member, path_of_member):
            return found
    for index, item in enumerate(value if isinstance(value, list) else ()):
        if found := _search(item, f"{path}[{index}]"):
            return found
    return None


@cache
def _counter(kind: type[Struct]) -> Callable[[Any], int]:
    """Return what counts the fields that a document of this type has for certain: with defaults it may have more."""
    fields = msgspec.structs.fields(kind)
    required = sum(each.required for each in fields)
    optional = [(each.name, each.default) for each in fields if not each.required]
    lists = [
        (each.name, sum(inner.required for inner in item)) for each in fields if (item := _items(each.type)) is not None
    ]

    def count(body: Any) -> int:
        given = required
        for name, default in optional:
            given += getattr(body, name) is not default
        for name, size in lists:
            given += size * len(getattr(body, name))
        return given

    return count


def _items(field: Any) -> tuple[msgspec.structs.FieldInfo, ...] | None:
    """Return the fields of the objects that a list holds; None for any other field."""
    for each in (field, *get_args(field)):
        if isinstance(each, type) and issubclass(each, Struct):
            return msgspec.structs.fields(each)
    nested = get_args(field)
    return _items(nested[0]) if nested else None
