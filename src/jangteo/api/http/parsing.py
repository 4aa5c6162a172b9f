"""From the bytes of a connection to its requests: llhttp parses, and what it leaves to its user is decided here.

What breaks HTTP or a bound is a refusal, and nothing after it is read. RFC 9110 and 9112 are the source.
"""

import re
from collections import deque
from typing import Final, NamedTuple

import httptools

from jangteo.api import problems
from jangteo.api.http.allowance import Allowance
from jangteo.api.http.bounds import Bounds
from jangteo.api.http.messages import Header, Request
from jangteo.api.problems import Kind

_SLICE_BYTES: Final = 16_384
"""How much is parsed at once: bounds are looked at after each slice, and requests wait while others are answered."""
_BLANK_MAX_BYTES: Final = 64
"""The most line ends between two requests."""
_HOST: Final = re.compile(rb"[\w.~!$&'()*+,;=:%\[\]-]*")
_FRAMING: Final = frozenset({b"host", b"transfer-encoding", b"content-length", b"expect"})
"""The headers that decide here what a request is."""


class Refused(Exception):
    """The connection can't go on: the problem to answer with."""

    def __init__(self, kind: Kind, detail: str | None = None, field: str | None = None) -> None:
        super().__init__(detail or kind.meaning)
        self.kind = kind
        self.detail = detail
        self.field = field


class _Head(NamedTuple):
    method: str
    version: str
    target: bytes
    headers: list[Header]


class RequestParser:
    """The requests of one connection. Feeding it never raises."""

    def __init__(self, bounds: Bounds, allowance: Allowance) -> None:
        self._bounds = bounds
        self._allowance = allowance
        self._parser = httptools.HttpRequestParser(self)
        self._rest = memoryview(b"")
        self.requests: deque[Request] = deque()
        """The requests that are complete, the oldest first. Whoever takes the last one calls `parse`."""
        self.refused: Refused | None = None
        """What the connection is refused for, once its requests are answered."""
        self.is_over = False
        """Whether nothing more is read."""
        self.is_arriving = False
        """Whether a request has begun and is not complete."""
        self.expects_continue = False
        """Whether the client waits for a `100 Continue` before it sends the body of the request that is arriving."""
        self.method = ""
        """The method of the request that is arriving or refused; empty before it is known."""
        self.peer = ""
        """The address at the other end of the connection."""
        self._upgrading: _Head | None = None
        self._has_begun = False
        self._blank_bytes = self._overhead_bytes = self._body_bytes_before = self._taken_bytes = 0
        self._begin()

    @property
    def has_unparsed(self) -> bool:
        """Whether bytes wait until the requests before them are answered."""
        return bool(self._rest)

    def feed(self, data: bytes) -> None:
        """Parse what has arrived, as far as `parse` does."""
        self._rest = memoryview(bytes(self._rest) + data if self._rest else data)
        self.parse()

    def parse(self) -> None:
        """Parse on until there is a request, or nothing is left."""
        while self._rest and not self.requests and not self.is_over:
            piece, self._rest = self._rest[:_SLICE_BYTES], self._rest[_SLICE_BYTES:]
            try:
                self._parse_slice(piece)
            except Refused as refused:
                self._end(refused)
        if self.is_over:
            self._rest = memoryview(b"")

    def release(self, request: Request) -> None:
        """Give back what the body of a request took of the allowance: it is answered, or won't be."""
        if len(request.body) > self._bounds.body_max_bytes:
            self._allowance.give_back(len(request.body))

    def close(self) -> None:
        """Drop all that has arrived: the connection has ended."""
        self.is_over = True
        self._rest = memoryview(b"")
        self._drop_body()
        while self.requests:
            self.release(self.requests.popleft())

    def _parse_slice(self, piece: memoryview) -> None:
        self._has_begun = self.is_arriving
        self._body_bytes_before = self._body_bytes
        self._feed_parser(piece)
        if self.is_arriving:
            self.expects_continue = self.expects_continue and not self._body_bytes
            self._overhead_bytes += len(piece) - (self._body_bytes - self._body_bytes_before)
            if self._overhead_bytes > self._bounds.overhead_max_bytes:
                raise self._too_large()
        elif not self._has_begun:
            self._blank_bytes += len(piece)
            if self._blank_bytes > _BLANK_MAX_BYTES:
                raise Refused(problems.INVALID_REQUEST, "Too many empty lines before a request", "request")

    def _feed_parser(self, piece: memoryview) -> None:
        try:
            while piece:
                piece = self._feed_until_upgrade(piece)
        except httptools.HttpParserError as error:
            if self.is_over:
                return  # What follows the last request of a connection is nobody's.
            if isinstance(error.__context__, Refused):
                raise error.__context__ from None
            raise _refusal_of(error) from None

    def _feed_until_upgrade(self, piece: memoryview) -> memoryview:
        """Return what llhttp leaves because it takes it for another protocol."""
        try:
            self._parser.feed_data(piece)
        except httptools.HttpParserUpgrade as upgrade:
            rest = piece[upgrade.args[0] :]
        else:
            return piece[:0]
        # RFC 9110 7.8: an upgrade may be ignored. A fresh parser gets the same head without it.
        self._parser = httptools.HttpRequestParser(self)
        head, self._upgrading = self._upgrading, None
        if head is not None:
            self._parser.feed_data(_without_upgrade(head))
        return rest

    def _end(self, refused: Refused) -> None:
        self.refused = refused
        self.is_over = True
        self.is_arriving = self.expects_continue = False
        self._drop_body()

    # httptools calls these.

    def on_message_begin(self) -> None:
        """Begin a request."""
        if self.is_over:
            raise Refused(problems.INVALID_REQUEST)
        self.is_arriving = self._has_begun = True
        self._blank_bytes = self._overhead_bytes = self._body_bytes_before = 0
        self._begin()

    def on_url(self, part: bytes) -> None:
        """Take a part of the target."""
        if not self._target:
            self.method = self._parser.get_method().decode("ascii")
        self._target += part
        if len(self._target) > self._bounds.target_max_bytes:
            raise Refused(problems.TARGET_TOO_LONG)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header. Trailers are read and dropped: nothing here needs one."""
        if self._in_body:
            return
        # llhttp leaves the white space behind a value, which is no part of it (RFC 9112, 5).
        name, value = name.lower(), value.rstrip(b" \t")
        self._headers.append((name, value))
        if name in _FRAMING:
            self._framing.append((name, value))

    def on_headers_complete(self) -> None:
        """Decide what the head means for the connection."""
        version = self._parser.get_http_version()
        if self._parser.should_upgrade():
            if self.method == "CONNECT":
                raise Refused(problems.NOT_IMPLEMENTED, "This server is no proxy: CONNECT is not served", "method")
            # The parser is about to skip the body, as if the other protocol began here. RFC 9110 7.8: ignore it.
            self._upgrading = _Head(self.method, version, self._target, self._headers)
            return
        self._in_body = True
        self._version = version
        self._path, self._query = _split_target(self._target)
        self._body_max_bytes = self._bounds.body_max_bytes_by_path.get(self._path, self._bounds.body_max_bytes)
        self._check_framing()

    def on_body(self, part: bytes) -> None:
        """Take a part of the body."""
        self._body.append(part)
        self._body_bytes += len(part)
        if self._body_bytes > self._body_max_bytes:
            raise self._body_too_large()
        if self._body_bytes > self._bounds.body_max_bytes:
            if not self._allowance.take(self._body_bytes - self._taken_bytes):
                raise Refused(problems.OVERLOADED, "Too many large bodies are under way; retry later", "body")
            self._taken_bytes = self._body_bytes

    def on_message_complete(self) -> None:
        """Hand the request over."""
        if self._upgrading is not None:
            return
        keep_alive = self._version == "1.1" and self._parser.should_keep_alive()
        self._taken_bytes = 0  # It is the request's now: see `release`.
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self.requests.append(Request(self.method, self._path, self._query, self._headers, body, keep_alive, self.peer))
        self.method = ""
        self.is_arriving = self.expects_continue = False
        self.is_over = not keep_alive

    def _begin(self) -> None:
        self.method = ""
        self._target = b""
        self._headers: list[Header] = []
        self._framing: list[Header] = []
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._taken_bytes = 0
        self._body_max_bytes = self._bounds.body_max_bytes
        self._in_body = False

    def _drop_body(self) -> None:
        self._allowance.give_back(self._taken_bytes)
        self._body = []
        self._taken_bytes = 0

    def _check_framing(self) -> None:
        if self._version not in ("1.0", "1.1"):
            raise Refused(problems.INVALID_REQUEST, f"HTTP/{self._version} is not served; send HTTP/1.1", "version")
        self._check_host([value for name, value in self._framing if name == b"host"])
        for name, value in self._framing:
            if name == b"transfer-encoding":
                self._check_transfer_encoding(value)
            elif name == b"content-length" and int(value) > self._body_max_bytes:
                raise self._body_too_large()
            elif name == b"expect" and self._version == "1.1":
                if value.lower() != b"100-continue":
                    raise Refused(problems.EXPECTATION_FAILED, field="Expect")
                self.expects_continue = True

    def _check_host(self, hosts: list[bytes]) -> None:
        if len(hosts) > 1 or (not hosts and self._version == "1.1"):
            raise Refused(problems.INVALID_REQUEST, f"A request has one Host header; this one has {len(hosts)}", "Host")
        if hosts and not _HOST.fullmatch(hosts[0]):
            raise Refused(problems.INVALID_REQUEST, "Host must be a name or an address", "Host")

    def _check_transfer_encoding(self, value: bytes) -> None:
        if self._version == "1.0":
            detail = "HTTP/1.0 has no Transfer-Encoding; send HTTP/1.1, or a Content-Length"
            raise Refused(problems.INVALID_REQUEST, detail, "Transfer-Encoding")
        if value.lower() != b"chunked":
            detail = "Of the transfer encodings only `chunked` is served"
            raise Refused(problems.NOT_IMPLEMENTED, detail, "Transfer-Encoding")

    def _too_large(self) -> Refused:
        if not self._in_body:
            return Refused(problems.HEADERS_TOO_LARGE)
        detail = f"Chunk sizes and trailers take more than {self._bounds.overhead_max_bytes:,} bytes"
        return Refused(problems.BODY_TOO_LARGE, detail, "body")

    def _body_too_large(self) -> Refused:
        detail = f"The body is larger than {self._body_max_bytes:,} bytes"
        return Refused(problems.BODY_TOO_LARGE, detail, "body")


def _refusal_of(error: httptools.HttpParserError) -> Refused:
    if isinstance(error, httptools.HttpParserInvalidMethodError):
        return Refused(problems.INVALID_REQUEST, "The request's method is none of HTTP's", "method")
    return Refused(problems.INVALID_REQUEST, f"This is not HTTP/1.1: {error}", "request")


def _split_target(target: bytes) -> tuple[str, bytes]:
    """Return the path and the query of a request target."""
    if not target.startswith((b"/", b"*")):
        # The absolute form, as for a proxy. Whose host it names makes no difference here.
        scheme, _, after_scheme = target.partition(b"://")
        if scheme.lower() not in (b"http", b"https"):
            raise Refused(problems.INVALID_REQUEST, "The request's target must be a path", "target")
        slash = after_scheme.find(b"/")
        target = after_scheme[slash:] if slash >= 0 else b"/"
    path, _, query = target.partition(b"?")
    return path.decode("latin-1"), query


def _without_upgrade(head: _Head) -> bytes:
    """Return the head of a request as if its client had not offered another protocol."""
    lines = [b"%b %b HTTP/%b\r\n" % (head.method.encode(), head.target, head.version.encode())]
    for name, value in head.headers:
        if name == b"connection":
            options = (each.strip() for each in value.split(b","))
            value = b", ".join(each for each in options if each.lower() != b"upgrade")  # noqa: PLW2901  # the header's
        if name != b"upgrade":
            lines.append(b"%b: %b\r\n" % (name, value))
    return b"".join([*lines, b"\r\n"])
