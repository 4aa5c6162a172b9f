"""From the bytes of a request to what its endpoint takes; whatever isn't as documented is named and refused."""

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
_KEY: Final = re.compile(r"[!-~]{1,255}")
_PATH_OF_FIELD: Final = re.compile(r"^(?P<what>.*?)(?: - at `\$\.?(?P<where>[^`]*)`)?$", re.DOTALL)
_NAMED: Final = re.compile(r"`(?P<name>[^`]+)`")
_ID_DIGITS: Final = len(str(LARGEST))


class Malformed(Exception):
    """The request isn't as documented."""

    def __init__(self, field: str, detail: str, kind: Kind = problems.INVALID_REQUEST) -> None:
        super().__init__(detail)
        self.field = field
        self.detail = detail
        self.kind = kind


def read_ids(names: Iterable[str], parts: Iterable[str]) -> list[int]:
    """The ids of a path."""
    return [_read_id(name, part) for name, part in zip(names, parts, strict=True)]


def read_query(shape: type[msgspec.Struct], raw: bytes) -> tuple[Any, ...]:
    """The values of a query string, in the order of their fields; None where one is left out."""
    given: dict[str, int | str] = {}
    words = _words(shape)
    for name, value in parse_qsl(raw.decode("latin-1"), keep_blank_values=True):
        if name in given:
            raise Malformed(name, f"`{name}` is given twice")
        if name not in words and not _WHOLE_NUMBER.fullmatch(value):
            raise Malformed(name, f"`{name}` must be a whole number")
        given[name] = value if name in words else int(value)
    try:
        values = msgspec.structs.astuple(msgspec.convert(given, shape))
    except msgspec.ValidationError as error:
        raise _named(error) from None
    return tuple(None if value is msgspec.UNSET else value for value in values)


def read_body(route: Route, raw: bytes) -> Any:
    """The body, as the route's type."""
    if not raw and route.body_may_be_empty:
        raw = b"{}"
    try:
        return route.decode(raw)
    except msgspec.ValidationError as error:
        malformed = _named(error)
        refusal = route.malformed.get(malformed.field)
        if refusal is not None:
            malformed.kind = problems.REFUSALS[refusal]
        raise malformed from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed("body", f"The body is no JSON: {error}") from None


def read_headers(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The idempotency key, if there is one; refuses bodies that say they are something else than JSON."""
    key: str | None = None
    for name, value in headers:
        if name == b"idempotency-key":
            given = value.decode("latin-1")
            if key is not None or not _KEY.fullmatch(given):
                raise Malformed(
                    "Idempotency-Key",
                    "Idempotency-Key must be one, of 1 to 255 visible ASCII characters",
                )
            key = given
        elif name == b"content-type" and not _is_json(value):
            # A page of another site could send a plain form without asking, but not JSON.
            raise Malformed("Content-Type", problems.UNSUPPORTED_TYPE.meaning, problems.UNSUPPORTED_TYPE)
    return key


async def receive_body(receive: Any, max_bytes: int) -> bytes:
    """All of the body. Raises Malformed where it is too large, or its client has left."""
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body") and len(body) <= max_bytes:
        message = await receive()
        body += message.get("body", b"")
    if message["type"] == "http.disconnect":
        raise Malformed("body", "The client left before its request was complete")
    if len(body) > max_bytes:
        raise Malformed("body", f"The body is larger than {max_bytes:,} bytes", problems.BODY_TOO_LARGE)
    return body


@cache
def _words(shape: type[msgspec.Struct]) -> frozenset[str]:
    """The fields of a query that are no numbers."""
    return frozenset(each.encode_name for each in msgspec.structs.fields(shape) if isinstance(each.default, str))


def _read_id(name: str, part: str) -> int:
    if part.isascii() and part.isdigit() and len(part) <= _ID_DIGITS:
        value = int(part)
        if 1 <= value <= LARGEST:
            return value
    raise Malformed(name, f"`{name}` must be a whole number from 1 to {LARGEST}")


def _is_json(content_type: bytes) -> bool:
    media_type = content_type.partition(b";")[0].strip().lower()
    return media_type == b"application/json" or media_type.endswith(b"+json")


def _named(error: msgspec.ValidationError) -> Malformed:
    """The field that the error is about, as a path in the body: `items[0].quantity`."""
    parts = _PATH_OF_FIELD.match(str(error))
    what, where = (parts["what"], parts["where"]) if parts else (str(error), None)
    if "field `" in what or what.startswith("`"):
        # A field that is missing, unknown or contradicts another is named in the text.
        name = _NAMED.search(what)
        inner = name["name"] if name else ""
        where = f"{where}.{inner}" if where else inner
    field = where or "body"
    return Malformed(field, what if f"`{field}`" in what else f"`{field}`: {what}")
