"""Parsing: from the parts of a request to the arguments of its endpoint. Malformed parts are refused by name."""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from jangteo.api import duplicate_keys, problems
from jangteo.api.http.messages import Header, Request
from jangteo.api.problems import Kind
from jangteo.api.rejected_values import shown, shown_at, shown_bare, shown_from
from jangteo.api.route import Route
from jangteo.core.limits import LARGEST, NAME_RULE

_WHOLE_NUMBER: Final = re.compile(r"-?[0-9]{1,20}")
_IDEMPOTENCY_KEY: Final = re.compile(r"[!-~]{1,255}")
_ERROR: Final = re.compile(r"^(?P<problem>.*?)(?: - at `\$\.?(?P<path>[^`]*)`)?$", re.DOTALL)
_FIELD: Final = re.compile(r"(?P<fault>Object .* field )`(?P<name>.*)`", re.DOTALL)
_RULE: Final = re.compile(r"`(?P<name>\w+)` ")
_OFFSET: Final = re.compile(r"\(byte (?P<bytes>[0-9]+)\)")
_ID_DIGITS: Final = len(str(LARGEST))


class Rejected(Exception):
    """A request is not executed, because of what it asks for."""

    def __init__(
        self, kind: Kind, detail: str, *, facts: Mapping[str, object] | None = None, headers: Sequence[Header] = ()
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.facts = facts or {}
        self.headers = headers
        """What the response has besides."""


class Malformed(Rejected):
    """A part of the request is not as documented; `field` names it."""

    def __init__(self, field: str, detail: str, kind: Kind = problems.INVALID_REQUEST) -> None:
        super().__init__(kind, detail, facts={"field": field})
        self.field = field


def unknown_path(path: str) -> Rejected:
    """Make the refusal of a path that nothing has."""
    return Rejected(problems.NOT_FOUND, f"Nothing has the path {shown_bare(path)}; /schema lists all paths")


def unknown_method(allowed: str) -> Rejected:
    """Make the refusal of a method that a path doesn't take."""
    return Rejected(problems.METHOD_NOT_ALLOWED, f"This path takes {allowed}")


def read_ids(names: Iterable[str], segments: Iterable[str]) -> list[int]:
    """Parse the ids of a path. Raises Malformed."""
    return [_read_id(name, segment) for name, segment in zip(names, segments, strict=True)]


def read_query(fields: type[msgspec.Struct], raw: bytes) -> tuple[Any, ...]:
    """Parse a query string to its values in the order of the fields; None for a missing one. Raises Malformed."""
    given: dict[str, int | str] = {}
    text_fields = _text_fields(fields)
    for name, value in parse_qsl(raw.decode("utf-8", "replace"), keep_blank_values=True):
        if name in given:
            raise Malformed(name, f"`{name}` must be given once")
        if name not in fields.__struct_encode_fields__:
            raise _unknown_parameter(name)
        if name not in text_fields and not _WHOLE_NUMBER.fullmatch(value):
            raise Malformed(name, f"`{name}` must be a whole number, not {shown(value)}")
        given[name] = value if name in text_fields else int(value)
    try:
        values = msgspec.structs.astuple(msgspec.convert(given, fields))
    except msgspec.ValidationError as error:
        malformed = _malformed(error)
        malformed.detail += _value_of(shown(given.get(malformed.field)))
        raise malformed from None
    return tuple(None if value is msgspec.UNSET else value for value in values)


def refuse_query(raw: bytes) -> None:
    """Raise Malformed if there is a parameter, for a path that takes none."""
    for name, _ in parse_qsl(raw.decode("utf-8", "replace"), keep_blank_values=True):
        raise _unknown_parameter(name)


def read_body(route: Route, raw: bytes) -> Any:
    """Parse the body as the route's type. Raises Malformed."""
    if not raw and route.body_may_be_empty:
        raw = b"{}"
    try:
        body = route.decode(raw)
    except msgspec.ValidationError as error:
        malformed = _malformed(error)
        malformed.detail += _value_of(shown_at(raw, malformed.field))
        raise _as_route_says(route, malformed) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed("body", f"The body is not valid JSON: {error}{_text_at(error, raw)}") from None
    twice = duplicate_keys.find(raw, body)
    if twice is not None:
        raise _as_route_says(route, Malformed(twice, f"`{twice}` must be given once"))
    return body


def read_headers(request: Request) -> str | None:
    """Return the idempotency key of a request that changes something, or None.

    Raises Malformed for a bad key, and for a body that is not JSON as it is. So a page of another site, which may send
    forms without asking, sends nothing that is read here; `api.access.browsers` refuses such a request altogether.
    """
    key: str | None = None
    names_json = False
    for name, value in request.headers:
        if name == b"idempotency-key":
            if key is not None:
                raise Malformed("Idempotency-Key", "Idempotency-Key must be given once")
            key = read_key(value.decode("latin-1"))
        elif name == b"content-type":
            names_json = True
        if name in _CHECKS:
            _CHECKS[name](value)
    if request.body and not names_json:
        raise _unsupported("Content-Type", None)
    return key


def read_key(text: str) -> str:
    """Check an idempotency key. Raises Malformed."""
    if not _IDEMPOTENCY_KEY.fullmatch(text):
        raise Malformed(
            "Idempotency-Key", f"Idempotency-Key must be 1 to 255 visible ASCII characters, not {shown(text)}"
        )
    return text


@cache
def _text_fields(fields: type[msgspec.Struct]) -> frozenset[str]:
    """Return the fields of a query string that are not numbers."""
    return frozenset(each.encode_name for each in msgspec.structs.fields(fields) if isinstance(each.default, str))


def _read_id(name: str, segment: str) -> int:
    if segment.isascii() and segment.isdigit() and len(segment) <= _ID_DIGITS:
        value = int(segment)
        if 1 <= value <= LARGEST:
            return value
    raise Malformed(name, f"`{name}` must be a whole number from 1 to {LARGEST}, not {shown(segment)}")


def _unsupported(header: str, value: bytes | None) -> Malformed:
    sent = "it has none" if value is None else f"not {shown(value.decode('latin-1'))}"
    return Malformed(header, f"{problems.UNSUPPORTED_TYPE.meaning[:-1]}; {sent}", problems.UNSUPPORTED_TYPE)


def _check_content_type(value: bytes) -> None:
    media_type = value.partition(b";")[0].strip().lower()
    if media_type != b"application/json" and not media_type.endswith(b"+json"):
        raise _unsupported("Content-Type", value)


def _check_content_encoding(value: bytes) -> None:
    if value.strip().lower() != b"identity":
        raise _unsupported("Content-Encoding", value)


_CHECKS: Final = {
    b"content-type": _check_content_type,
    b"content-encoding": _check_content_encoding,
}


def _unknown_parameter(name: str) -> Malformed:
    return Malformed(shown_bare(name), f"Unknown query parameter {shown(name)}")


def _value_of(shown_value: str | None) -> str:
    return "" if shown_value is None else f"; the value is {shown_value}"


def _malformed(error: msgspec.ValidationError) -> Malformed:
    """Name the field that the error is about, as a path in the body: `items[0].quantity`."""
    parts = _ERROR.match(str(error))
    problem, path = (parts["problem"], parts["path"]) if parts else (str(error), None)
    if "matching regex" in problem:
        # Of all fields only names have a pattern, and nobody could read it.
        problem = NAME_RULE
    elif problem.startswith("Invalid enum value"):
        problem = "Invalid enum value"  # as it is quoted here, it is neither escaped nor cut
    if field := _FIELD.fullmatch(problem):
        # The name may be anything that a client thought of.
        name = _within(path, shown_bare(field["name"]))
        return Malformed(name, f"{field['fault']}`{name}`")
    if rule := _RULE.match(problem):
        return Malformed(_within(path, rule["name"]), problem)
    name = path or "body"
    return Malformed(name, f"`{name}`: {problem}")


def _as_route_says(route: Route, malformed: Malformed) -> Malformed:
    """Give a malformed field the problem that its route has for it."""
    refusal = route.malformed.get(malformed.field)
    if refusal is not None:
        malformed.kind = problems.REFUSALS[refusal]
    return malformed


def _within(path: str | None, name: str) -> str:
    return f"{path}.{name}" if path else name


def _text_at(error: Exception, raw: bytes) -> str:
    """Quote what the decoder could not read."""
    offset = _OFFSET.search(str(error))
    return "" if offset is None else f"; the text there is {shown_from(raw, int(offset['bytes']))}"
