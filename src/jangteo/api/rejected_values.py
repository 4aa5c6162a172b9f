"""The value that was wrong, for the message that says so: found in the body by its path, shortened and escaped."""

import json
import re
from typing import Final

import msgspec

_MOST_CHARACTERS: Final = 60
_STEP: Final = re.compile(r"\[(?P<index>[0-9]+)\]|(?P<name>[^.\[\]]+)")
_UNPRINTABLE: Final = re.compile(r"[^ -~]")
_of_object: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_of_array: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode


def shown(value: object) -> str:
    """Return a value as JSON in printable ASCII, cut off where it gets long."""
    return _cut(json.dumps(value))


def shown_bare(text: str) -> str:
    """Return a text as `shown` does, without quotation marks: for names and paths."""
    return _cut(_UNPRINTABLE.sub(lambda found: json.dumps(found[0])[1:-1], text[: _MOST_CHARACTERS + 1]))


def shown_at(raw: bytes, path: str) -> str | None:
    """Return the value at a path like `items[0].quantity` of a JSON document, as it was sent.

    None if none is there, and where what follows it is not JSON.
    """
    try:
        for step in _STEP.finditer(path):
            name = step["name"]
            raw = bytes(_of_array(raw)[int(step["index"])] if name is None else _of_object(raw)[name])
    except (msgspec.DecodeError, UnicodeDecodeError, LookupError, RecursionError):
        return None
    return shown_from(raw, 0)


def shown_from(raw: bytes, offset: int) -> str:
    """Return what follows an offset of a JSON document, in bytes, as it was sent."""
    return shown_bare(raw[offset : offset + 4 * (_MOST_CHARACTERS + 1)].decode("utf-8", "replace"))


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}…"
