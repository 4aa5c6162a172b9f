"""Ways to send one and the same request. None of them changes what it asks for."""

from collections.abc import Iterable
from random import Random
from typing import Final

from fuzz.calls import Call
from fuzz.wire import Header, head

_HARMLESS: Final[tuple[tuple[Header, ...], ...]] = (
    (
        (b"connection", b"Upgrade, HTTP2-Settings"),
        (b"upgrade", b"h2c"),
        (b"http2-settings", b"AAMAAABkAAQAoAAAAAIAAAAA"),
    ),
    ((b"connection", b"upgrade"), (b"upgrade", b"websocket"), (b"sec-websocket-version", b"13")),
    ((b"expect", b"100-continue"),),
    ((b"te", b"trailers"), (b"connection", b"TE")),
    ((b"connection", b"keep-alive"), (b"keep-alive", b"timeout=5")),
    ((b"accept-encoding", b"gzip, br"), (b"accept", b"text/html"), (b"user-agent", b"\xed\x95\x9c")),
    ((b"cookie", b"a=" + b"x" * 500), (b"x-empty", b"")),
    ((b"x-many", b"1"),) * 20,
    (),
)


def vary(call: Call, random: Random) -> bytes:
    """Return the request of a call as one client or another would send it."""
    headers = [*call.headers(), *random.choice(_HARMLESS)]
    random.shuffle(headers)
    if random.random() < 0.3:
        headers = [(name.title(), b" " + value + b"\t") for name, value in headers]
    target = f"http://shop.test{call.target}" if random.random() < 0.1 else call.target
    if call.body is None:
        return head(call.route.method, target, headers)
    content = call.content()
    if random.random() < 0.3:
        return head(call.route.method, target, [*headers, (b"transfer-encoding", b"chunked")]) + chunked(
            content, random
        )
    return head(call.route.method, target, [*headers, (b"content-length", b"%d" % len(content))]) + content


def chunked(content: bytes, random: Random) -> bytes:
    """Return a body in chunks, now and then with extensions and trailers."""
    extension = random.choice((b"", b"", b";a=b", b';a="x y"'))
    parts = [b"%x%b\r\n%b\r\n" % (len(piece), extension, piece) for piece in pieces(content, random)]
    trailers = random.choice((b"", b"", b"x-sum: 1\r\n", b"x-sum: 1\r\nx-other:\r\n"))
    return b"".join([*parts, b"0\r\n", trailers, b"\r\n"])


def pieces(data: bytes, random: Random) -> Iterable[bytes]:
    """Cut data into pieces: single bytes, or a few."""
    if len(data) < 200 and random.random() < 0.2:
        yield from (data[index : index + 1] for index in range(len(data)))
        return
    while data:
        size = random.choice((1, 2, 7, 40, 300, 20_000))
        yield data[:size]
        data = data[size:]
