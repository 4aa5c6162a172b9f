"""Parsing: from the parts of a request to the arguments of its endpoint. Malformed parts are refused by name."""

import re
from collections.abc import Iterable
from functools import cache
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from jangteo.api import problems
from jangteo.api.problems import Kind
from jangteo.api.route import Route
from jangteo.core.limits import LARGEST

_WHOLE_NUMBER: Final = re.compile(r"-?[0-9]{1,20}")
_IDEMPOTENCY_KEY: Final = re.compile(r"[!-~]{1,255}")
_ERROR: Final = re.compile(r"^(?P<problem>.*?)(?: - at `\$\.?(?P<path>[^`]*)`)?$", re.DOTALL)
_QUOTED: Final = re.compile(r"`(?P<name>[^`]+)`")
_ID_DIGITS: Final = len(str(LARGEST))


class Malformed(Exception):
    """A part of the request is not as documented; `field` names it."""

    def __init__(self, field: str, detail: str, kind: Kind = problems.INVALID_REQUEST) -> None:
        super().__init__(detail)
        self.field = field
        self.detail = detail
        self.kind = kind


def read_ids(names: Iterable[str], segments: Iterable[str]) -> list[int]:
    """Parse the ids of a path. Raises Malformed."""
    return [_read_id(name, segment) for name, segment in zip(names, segments, strict=True)]


def read_query(fields: type[msgspec.Struct], raw: bytes) -> tuple[Any, ...]:
    """Parse a query string to its values in the order of the fields; None for a missing one. Raises Malformed."""
    given: dict[str, int | str] = {}
    text_fields = _text_fields(fields)
    for name, value in parse_qsl(raw.decode("latin-1"), keep_blank_values=True):
        if name in given:
            raise Malformed(name, f"`{name}` must be given once")
        if name not in text_fields and not _WHOLE_NUMBER.fullmatch(value):
            raise Malformed(name, f"`{name}` must be a whole number")
        given[name] = value if name in text_fields else int(value)
    try:
        values = msgspec.structs.astuple(msgspec.convert(given, fields))
    except msgspec.ValidationError as error:
        raise _malformed(error) from None
    return tuple(None if value is msgspec.UNSET else value for value in values)


def read_body(route: Route, raw: bytes) -> Any:
    """Parse the body as the route's type. Raises Malformed."""
    if not raw and route.body_may_be_empty:
        raw = b"{}"
    try:
        return route.decode(raw)
    except msgspec.ValidationError as error:
        malformed = _malformed(error)
        refusal = route.malformed.get(malformed.field)
        if refusal is not None:
            malformed.kind = problems.REFUSALS[refusal]
        raise malformed from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed("body", f"The body is not valid JSON: {error}") from None


def read_headers(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """Return the idempotency key, or None. Raises Malformed for a bad key and for a content type other than JSON."""
    key: str | None = None
    for name, value in headers:
        if name == b"idempotency-key":
            text = value.decode("latin-1")
            if key is not None or not _IDEMPOTENCY_KEY.fullmatch(text):
                raise Malformed(
                    "Idempotency-Key",
                    "Idempotency-Key must be given once, with 1 to 255 visible ASCII characters",
                )
            key = text
        elif name == b"content-type" and not _is_json(value):
            # Browsers let pages of other sites send plain forms here, but not JSON.
            raise Malformed("Content-Type", problems.UNSUPPORTED_TYPE.meaning, problems.UNSUPPORTED_TYPE)
    return key


@cache
def _text_fields(fields: type[msgspec.Struct]) -> frozenset[str]:
    """Return the fields of a query string that are not numbers."""
    return frozenset(each.encode_name for each in msgspec.structs.fields(fields) if isinstance(each.default, str))


def _read_id(name: str, segment: str) -> int:
    if segment.isascii() and segment.isdigit() and len(segment) <= _ID_DIGITS:
        value = int(segment)
        if 1 <= value <= LARGEST:
            return value
    raise Malformed(name, f"`{name}` must be a whole number from 1 to {LARGEST}")


def _is_json(content_type: bytes) -> bool:
    media_type = content_type.partition(b";")[0].strip().lower()
    return media_type == b"application/json" or media_type.endswith(b"+json")


def _malformed(error: msgspec.ValidationError) -> Malformed:
    """Name the field that the error is about, as a path in the body: `items[0].quantity`."""
    parts = _ERROR.match(str(error))
    problem, path = (parts["problem"], parts["path"]) if parts else (str(error), None)
    if "field `" in problem or problem.startswith("`"):
        # A field that is missing, unknown or contradicts another one is named in the text.
        quoted = _QUOTED.search(problem)
        name = quoted["name"] if quoted else ""
        path = f"{path}.{name}" if path else name
    field = path or "body"
    return Malformed(field, problem if f"`{field}`" in problem else f"`{field}`: {problem}")
