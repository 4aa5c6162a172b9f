"""The value that was wrong, for the message that says so: found in the body by its path, shortened and escaped."""

import json
import re
from typing import Any, Final

import msgspec

_MOST_CHARACTERS: Final = 60
_STEP: Final = re.compile(r"\[(?P<index>[0-9]+)\]|(?P<name>[^.\[\]]+)")


def shown(value: object) -> str:
    """Return a value as JSON in printable ASCII, cut off where it gets long."""
    text = json.dumps(value)
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}…"


def shown_at(raw: bytes, path: str) -> str | None:
    """Return the value at a path like `items[0].quantity` of a JSON document as `shown` does; None if none is there."""
    try:
        value: Any = msgspec.json.decode(raw)
        for step in _STEP.finditer(path):
            value = value[step["name"] if step["index"] is None else int(step["index"])]
        return shown(value)
    except (msgspec.DecodeError, UnicodeDecodeError, LookupError, TypeError, RecursionError):
        return None
