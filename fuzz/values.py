"""Values that go wrong: numbers at borders, hostile texts, other types, deep and doubled objects, in valid calls."""

import json
from random import Random
from typing import Any, Final

from fuzz.calls import Call
from fuzz.wire import Header, head

_BORDERS: Final = (0, 1, 100, 200, 255, 1000, 3650, 2**31, 2**32, 2**53, 2**63, 2**64, 10**20)
_NUMBERS: Final = (
    *(str(sign * border + step) for border in _BORDERS for sign in (1, -1) for step in (-1, 0, 1)),
    *("1.0", "1.5", "-0", "-0.0", "1e3", "1E+2", "1e400", "-1e400", "1e-400", "9007199254740992.0", "9" * 400),
    *("0x10", "01", "+1", ".5", "1.", "NaN", "Infinity", "-Infinity", "1" + "0" * 5_000),
)
_TEXTS: Final = (
    *("", " ", "\t", "\0", "a\0b", "\ufeff", "\u200b", "\u202ekim", "\u2028", "\ud800", "\udc00\ud800", "\uffff"),
    *("\U0001f9a9", "e\u0301" * 90, "x" * 200, "x" * 201, "한" * 200, "x" * 60_000, "'; DROP TABLE users; --"),
    *("%s%n", "{0.__class__}", "../../etc/passwd", "<script>", "\x1b[2J", "\r\nset-cookie: a=b", "1", "true", "null"),
    *("2026-11-23T00:00:00Z", "2026-11-23", "9999-12-31T23:59:59.999999Z", "0001-01-01T00:00:00Z", "direct"),
    *("2026-11-23T00:00:00+24:00", "2016-12-31T23:59:60Z"),
)
_OTHERS: Final = (
    *("null", "true", "false", "[]", "{}", "[null]", '{"": ""}', "[[[[]]]]", '{"userId": {"userId": 1}}'),
    *("", ",", "]", "}", '"', "\\", "'a'", "undefined", "/* */ 1", "1 2", '"\\u12"', '"\\ud800"', '"\\x00"'),
    *("[" * 200 + "]" * 200, "[" * 30_000, '{"a":' * 10_000, "[" + "1," * 10_000 + "1]"),
)
_PATHS: Final = ("/", "//", "/.", "/../users", "/users/", "/schema", "/schema/openapi.json", "/docs", "*", "/%", "/%zz")
_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")
_TYPES: Final = (b"text/plain", b"", b"application/json; charset=utf-16", b"application/xml", b"application/jso\xf6")
_REQUEST: Final = b"POST /users HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n"
_HOLE: Final = "fuzz-hole"


def wrong_values(call: Call, random: Random) -> bytes:
    """Return the request of a call in which one to three values are others. HTTP itself stays as it should be."""
    method: str = call.route.method
    target = call.target
    headers, content = call.headers(), call.content()
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        match random.choice(("body", "body", "body", "path", "query", "key", "header", "method")):
            case "body" if call.body is not None:
                content = wrong_body(call.body, random) if random.random() < 0.95 else _REQUEST
            case "path":
                target = _wrong_path(call, random)
            case "query":
                target = _wrong_query(call, random)
            case "key":
                headers.append((b"idempotency-key", _header_value(random)))
            case "header":
                headers = _wrong_headers(headers, random)
            case "method":
                method = random.choice(_METHODS)
            case _:
                continue
    if content:
        headers.append((b"content-length", b"%d" % len(content)))
    return head(method, target, headers) + content


def wrong_json(random: Random) -> str:
    """Return a text in place of a JSON value; it may be no JSON."""
    kind = random.randrange(4)
    if kind == 0:
        return random.choice(_OTHERS)
    if kind == 1:
        return json.dumps(random.choice(_TEXTS), ensure_ascii=random.random() < 0.5)
    return random.choice(_NUMBERS)


def wrong_body(body: Any, random: Random) -> bytes:
    """Return a body as JSON in which one thing is not as it should be."""
    if isinstance(body, list):
        parts = [json.dumps(each).encode() for each in body]
        wrong = random.randrange(len(body))
        parts[wrong] = wrong_body(body[wrong], random)
        return b"[%b]" % b",".join(parts)
    body = json.loads(json.dumps(body))
    name = random.choice((*body, "userId", "total", ""))
    match random.randrange(6):
        case 0:
            text = wrong_json(random)
        case 1:
            text = json.dumps(body)
            text = f"{text[:1]}{json.dumps(name)}: {wrong_json(random)}, {text[1:]}"
        case 2:
            body.pop(name, None)
            text = json.dumps(body)
        case _:
            places = _places(body)
            if places:
                container, index = random.choice(places)
                container[index] = _HOLE
            text = json.dumps(body).replace(f'"{_HOLE}"', wrong_json(random))
    return text.encode("utf-8", "surrogatepass")


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Return where a value is, for every value in a JSON value: what contains it and its index."""
    indexes = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    found = [(value, index) for index in indexes]
    return [place for outer in found for place in (outer, *_places(outer[0][outer[1]]))]


def _wrong_path(call: Call, random: Random) -> str:
    if not call.route.ids or random.random() < 0.2:
        return random.choice(_PATHS)
    return call.route.path.format(**{name: _segment(random) for name in call.route.ids})


def _wrong_query(call: Call, random: Random) -> str:
    names = ("limit", "after", "days", "method", "x", "", *call.query)
    pairs = [f"{random.choice(names)}={_segment(random)}" for _ in range(random.choice((1, 1, 2, 50)))]
    return f"{call.path}?{random.choice('&&;?').join(pairs)}"


def _segment(random: Random) -> str:
    """Return a part of a target: visible ASCII, as HTTP wants it, apart from what is percent-encoded."""
    text = random.choice(_NUMBERS + _TEXTS)[:3_000]
    encoded = text.encode("utf-8", "surrogatepass")
    return "".join(chr(byte) if 0x21 <= byte <= 0x7E and byte not in b"#" else f"%{byte:02x}" for byte in encoded)


def _header_value(random: Random) -> bytes:
    text = random.choice(_TEXTS)[:3_000].encode("utf-8", "surrogatepass")
    return bytes(byte for byte in text if byte not in b"\r\n\0").strip()


def _wrong_headers(headers: list[Header], random: Random) -> list[Header]:
    kind = random.randrange(4) if headers else 3
    if kind == 0:
        left_out = random.choice(headers)
        return [header for header in headers if header != left_out]
    if kind == 1:
        return [*headers, random.choice(headers)]
    if kind == 2:
        return [
            *(header for header in headers if header[0] != b"content-type"),
            (b"content-type", random.choice(_TYPES)),
        ]
    return [*headers, (random.choice((b"accept", b"origin", b"content-encoding", b"x-any")), _header_value(random))]
