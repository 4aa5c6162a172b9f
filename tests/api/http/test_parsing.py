"""Bodies belong to their requests, however the bytes come, and what breaks HTTP or a bound ends the connection."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jangteo.api.http.allowance import Allowance
from jangteo.api.http.bounds import Bounds
from jangteo.api.http.messages import Request
from jangteo.api.http.parsing import RequestParser

HOST = b"Host: shop\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
GET = b"GET /a?b=1 HTTP/1.1\r\n" + HOST + b"\r\n"
NEXT = b"GET /next HTTP/1.1\r\n" + HOST + b"\r\n"
SMUGGLED = b"POST /smuggled HTTP/1.1\r\n" + HOST + b"Content-Length: 0\r\n\r\n"
Answered = tuple[list[tuple[str, str, bytes]], str | None]


def post(*headers: bytes, body: bytes = b"", version: bytes = b"1.1") -> bytes:
    return b"POST /a HTTP/" + version + b"\r\n" + HOST + b"".join(headers) + b"\r\n" + body


def length(body: bytes) -> bytes:
    return b"Content-Length: %d\r\n" % len(body)


def parsed(pieces: Iterable[bytes], bounds: Bounds | None = None) -> tuple[list[Request], RequestParser]:
    """Take the requests as a connection does: one at a time, parsing on after each."""
    parser, requests = RequestParser(bounds or Bounds(), Allowance(0)), []
    for piece in pieces:
        parser.feed(piece)
        while parser.requests:
            requests.append(parser.requests.popleft())
            parser.parse()
    return requests, parser


def outcome(pieces: Iterable[bytes], bounds: Bounds | None = None) -> Answered:
    requests, parser = parsed(pieces, bounds)
    slug = None if parser.refused is None else parser.refused.kind.slug
    return [(each.method, each.path, each.body) for each in requests], slug


ACCEPTED = {
    "plain": (GET, [("GET", "/a", b"")]),
    "body": (post(length(b"hello"), body=b"hello"), [("POST", "/a", b"hello")]),
    "empty body": (post(length(b"")), [("POST", "/a", b"")]),
    "chunks": (post(CHUNKED, body=b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"), [("POST", "/a", b"hello")]),
    "chunk extensions": (post(CHUNKED, body=b"5;a=b\r\nhello\r\n0;c\r\n\r\n"), [("POST", "/a", b"hello")]),
    "trailers": (post(CHUNKED, body=b"5\r\nhello\r\n0\r\nX: y\r\nHost: z\r\n\r\n"), [("POST", "/a", b"hello")]),
    "an upgrade in the trailers": (
        post(CHUNKED, body=b"5\r\nhello\r\n0\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"),
        [("POST", "/a", b"hello")],
    ),
    "an upgrade to HTTP/2": (
        post(
            b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n",
            length(SMUGGLED),
            body=SMUGGLED,
        ),
        [("POST", "/a", SMUGGLED)],
    ),
    "an upgrade to a WebSocket": (
        post(b"Connection: upgrade\r\nUpgrade: websocket\r\n", length(SMUGGLED), body=SMUGGLED),
        [("POST", "/a", SMUGGLED)],
    ),
    "an upgrade with chunks": (
        post(b"Upgrade: h2c\r\nConnection: upgrade\r\n", CHUNKED, body=b"5\r\nhello\r\n0\r\n\r\n"),
        [("POST", "/a", b"hello")],
    ),
    "an upgrade without a body": (
        b"GET /a HTTP/1.1\r\n" + HOST + b"Connection: upgrade\r\nUpgrade: h2c\r\n\r\n",
        [("GET", "/a", b"")],
    ),
    "many upgrades": (
        (b"GET /a HTTP/1.1\r\n" + HOST + b"Connection: upgrade\r\nUpgrade: h2c\r\n\r\n") * 1_000,
        [("GET", "/a", b"")] * 1_000,
    ),
    "an upgrade without Connection": (
        post(b"Upgrade: h2c\r\n", length(b"hello"), body=b"hello"),
        [("POST", "/a", b"hello")],
    ),
    "Expect": (post(b"Expect: 100-continue\r\n", length(b"hello"), body=b"hello"), [("POST", "/a", b"hello")]),
    "the absolute form": (b"GET http://elsewhere/a?b HTTP/1.1\r\n" + HOST + b"\r\n", [("GET", "/a", b"")]),
    "the asterisk form": (b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", [("OPTIONS", "*", b"")]),
    "line ends before a request": (b"\r\n\r\n" + GET, [("GET", "/a", b"")]),
    "a pipeline": (GET * 2_000, [("GET", "/a", b"")] * 2_000),
}
"""Requests by what is special about them, and what they are. Each is followed by another one."""


@pytest.mark.parametrize("name", ACCEPTED)
@pytest.mark.parametrize("size", [1, 2, 7, 64, 1_000_000])
def test_a_body_belongs_to_its_request_in_whatever_pieces_it_comes(name: str, size: int) -> None:
    sent, requests = ACCEPTED[name]
    sent += NEXT
    pieces = (sent[start : start + size] for start in range(0, len(sent), size))
    assert outcome(pieces) == ([*requests, ("GET", "/next", b"")], None)


@pytest.mark.parametrize("space", [b"", b" ", b"\t", b" \t "])
def test_white_space_around_a_value_is_no_part_of_it(space: bytes) -> None:
    requests, _ = parsed([post(b"Idempotency-Key:" + space + b"a b" + space + b"\r\n")])
    assert requests[0].headers[1:] == [(b"idempotency-key", b"a b")]


ENDING = {
    "close": b"GET /a HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n",
    "close among others": b"GET /a HTTP/1.1\r\n" + HOST + b"Connection: upgrade, close\r\nUpgrade: h2c\r\n\r\n",
    "HTTP/1.0": b"GET /a HTTP/1.0\r\n\r\n",
    "HTTP/1.0 kept alive": b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
}


@pytest.mark.parametrize("name", ENDING)
@pytest.mark.parametrize("size", [1, 7, 1_000_000])
@pytest.mark.parametrize("behind", [b"", NEXT, b"nonsense"])
def test_nothing_is_read_behind_the_last_request_of_a_connection(name: str, size: int, behind: bytes) -> None:
    sent = ENDING[name] + behind
    requests, parser = parsed(sent[start : start + size] for start in range(0, len(sent), size))
    assert [(each.path, each.keep_alive) for each in requests] == [("/a", False)]
    assert (parser.is_over, parser.refused) == (True, None)


REFUSED = {
    "both lengths": (post(CHUNKED, length(b"hello"), body=b"5\r\nhello\r\n0\r\n\r\n"), "invalid-request"),
    "both lengths, the other way": (
        post(length(b"hello"), CHUNKED, body=b"5\r\nhello\r\n0\r\n\r\n"),
        "invalid-request",
    ),
    "two lengths": (post(length(b"a"), length(b"ab"), body=b"ab"), "invalid-request"),
    "two equal lengths": (post(length(b"a"), length(b"a"), body=b"a"), "invalid-request"),
    "a list of lengths": (post(b"Content-Length: 1, 1\r\n", body=b"a"), "invalid-request"),
    "a signed length": (post(b"Content-Length: +1\r\n", body=b"a"), "invalid-request"),
    "a negative length": (post(b"Content-Length: -1\r\n", body=b"a"), "invalid-request"),
    "a hexadecimal length": (post(b"Content-Length: 0x1\r\n", body=b"a"), "invalid-request"),
    "a length beyond all numbers": (post(b"Content-Length: " + b"9" * 5_000 + b"\r\n"), "invalid-request"),
    "a large length": (post(b"Content-Length: 65537\r\n"), "content-too-large"),
    "compressed chunks": (post(b"Transfer-Encoding: gzip, chunked\r\n", body=b"0\r\n\r\n"), "not-implemented"),
    "chunks inside": (post(b"Transfer-Encoding: chunked, gzip\r\n", body=b"0\r\n\r\n"), "invalid-request"),
    "identity": (post(b"Transfer-Encoding: identity\r\n"), "not-implemented"),
    "no transfer encoding at all": (post(b"Transfer-Encoding: xchunked\r\n"), "not-implemented"),
    "chunks twice": (post(CHUNKED, CHUNKED, body=b"0\r\n\r\n"), "invalid-request"),
    "chunks in HTTP/1.0": (post(CHUNKED, body=b"0\r\n\r\n", version=b"1.0"), "invalid-request"),
    "a vertical tab": (post(b"Transfer-Encoding: \x0bchunked\r\n", body=b"0\r\n\r\n"), "invalid-request"),
    "a space before the colon": (post(b"Transfer-Encoding : chunked\r\n", body=b"0\r\n\r\n"), "invalid-request"),
    "an obsolete fold": (post(b"Transfer-Encoding:\r\n chunked\r\n", body=b"0\r\n\r\n"), "invalid-request"),
    "an obsolete fold of another": (post(b"X: a\r\n b\r\n"), "invalid-request"),
    "a header without a name": (post(b": a\r\n"), "invalid-request"),
    "a NUL": (post(b"X: a\x00b\r\n"), "invalid-request"),
    "a bare CR": (post(b"X: a\rContent-Length: 5\r\n"), "invalid-request"),
    "a bare LF": (post(b"X: a\nContent-Length: 5\r\n"), "invalid-request"),
    "a bare LF as the last": (b"GET /a HTTP/1.1\r\n" + HOST + b"\n", "invalid-request"),
    "bare LFs": (b"GET /a HTTP/1.1\nHost: a\n\n", "invalid-request"),
    "a chunk size with a space": (post(CHUNKED, body=b"5 \r\nhello\r\n0\r\n\r\n"), "invalid-request"),
    "a chunk size with a sign": (post(CHUNKED, body=b"+5\r\nhello\r\n0\r\n\r\n"), "invalid-request"),
    "a chunk size beyond all numbers": (post(CHUNKED, body=b"f" * 17 + b"\r\n"), "invalid-request"),
    "a chunk with a bare LF": (post(CHUNKED, body=b"5\nhello\n0\n\n"), "invalid-request"),
    "a chunk that is too long": (post(CHUNKED, body=b"5\r\nhelloXX0\r\n\r\n"), "invalid-request"),
    "an extension with a bare LF": (post(CHUNKED, body=b"5;\nhello\r\n0\r\n\r\n"), "invalid-request"),
    "another expectation": (post(b"Expect: a-miracle\r\n"), "expectation-failed"),
    "a tunnel": (b"CONNECT shop:80 HTTP/1.1\r\n" + HOST + b"\r\n", "not-implemented"),
    "no Host": (b"GET /a HTTP/1.1\r\n\r\n", "invalid-request"),
    "two Hosts": (b"GET /a HTTP/1.1\r\n" + HOST + HOST + b"\r\n", "invalid-request"),
    "two Hosts in HTTP/1.0": (b"GET /a HTTP/1.0\r\n" + HOST + HOST + b"\r\n", "invalid-request"),
    "a Host that is a path": (b"GET /a HTTP/1.1\r\nHost: shop/admin\r\n\r\n", "invalid-request"),
    "another scheme": (b"GET ftp://shop/a HTTP/1.1\r\n" + HOST + b"\r\n", "invalid-request"),
    "no version": (b"GET /a\r\n\r\n", "invalid-request"),
    "an old version": (b"GET /a HTTP/0.9\r\n\r\n", "invalid-request"),
    "a new version": (b"GET /a HTTP/2.0\r\n\r\n", "invalid-request"),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "invalid-request"),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "invalid-request"),
    "no method": (b"nonsense\r\n\r\n", "invalid-request"),
    "a small method": (b"get /a HTTP/1.1\r\n" + HOST + b"\r\n", "invalid-request"),
    "a path of bytes": (b"GET /\xc3\xa9 HTTP/1.1\r\n" + HOST + b"\r\n", "invalid-request"),
    "a long path": (b"GET /" + b"a" * 9_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", "uri-too-long"),
    "an endless path": (b"GET /" + b"a" * 1_000_000, "uri-too-long"),
    "many headers": (b"GET /a HTTP/1.1\r\n" + b"a: b\r\n" * 20_000, "headers-too-large"),
    "a long header": (b"GET /a HTTP/1.1\r\na: " + b"b" * 100_000, "headers-too-large"),
    "a long name": (b"GET /a HTTP/1.1\r\n" + b"b" * 100_000, "headers-too-large"),
    "many trailers": (post(CHUNKED, body=b"0\r\n" + b"a: b\r\n" * 20_000), "content-too-large"),
    "a long trailer": (post(CHUNKED, body=b"0\r\na: " + b"b" * 100_000), "content-too-large"),
    "a long extension": (post(CHUNKED, body=b"1;" + b"a" * 100_000), "content-too-large"),
    "many extensions": (post(CHUNKED, body=b"1;aaaaaaaaaaaaaaaa\r\na\r\n" * 10_000), "content-too-large"),
    "a length in the trailers": (post(CHUNKED, body=b"0\r\nContent-Length: 9\r\n\r\n"), "invalid-request"),
    "many chunks": (post(CHUNKED, body=b"1\r\na\r\n" * 20_000), "content-too-large"),
    "large chunks": (
        post(CHUNKED, body=b"8000\r\n" + b"a" * 0x8000 + b"\r\n8001\r\n" + b"a" * 0x8001),
        "content-too-large",
    ),
    "empty lines": (b"\r\n" * 20_000, "invalid-request"),
}
"""What is refused, and the problem. Each follows a request, and carries another one."""


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("size", [1, 7, 1_000, 1_000_000])
def test_what_is_refused_ends_the_connection_behind_the_requests_before_it(name: str, size: int) -> None:
    sent, slug = REFUSED[name]
    sent = GET + sent + SMUGGLED
    if size == 1 and len(sent) > 200_000:
        sent = sent[:200_000]
    requests, refused = outcome(sent[start : start + size] for start in range(0, len(sent), size))
    assert (requests, refused) == ([("GET", "/a", b"")], slug)


def test_a_pipeline_of_any_length_is_parsed_piece_by_piece() -> None:
    parser = RequestParser(Bounds(), Allowance(0))
    parser.feed(GET * 10_000)
    assert 0 < len(parser.requests) < 1_000
    assert parser.has_unparsed
    count = 0
    while parser.requests:
        parser.requests.popleft()
        parser.parse()
        count += 1
    assert (count, parser.has_unparsed, parser.refused) == (10_000, False, None)


def test_bounds_hold_for_each_request_not_for_all_of_a_connection() -> None:
    request = post(b"X: " + b"a" * 10_000 + b"\r\n", length(b"b" * 60_000), body=b"b" * 60_000)
    assert outcome([request * 20]) == ([("POST", "/a", b"b" * 60_000)] * 20, None)
    sent = request * 20
    assert outcome(sent[start : start + 3_001] for start in range(0, len(sent), 3_001))[1] is None


def test_a_client_that_expects_to_be_asked_for_its_body_is_noticed_until_the_body_comes() -> None:
    parser = RequestParser(Bounds(), Allowance(0))
    parser.feed(post(b"Expect: 100-continue\r\n", length(b"hello")))
    assert parser.expects_continue
    parser.feed(b"he")
    assert not parser.expects_continue
    parser.feed(b"llo")
    assert [each.body for each in parser.requests] == [b"hello"]


class Peer:
    """h11, another parser of HTTP/1.1."""

    def __init__(self) -> None:
        self._connection = h11.Connection(h11.SERVER, max_incomplete_event_size=100_000)

    def requests(self, data: bytes) -> Iterator[tuple[str, bytes]]:
        """Each request's method and body. Raises h11.RemoteProtocolError."""
        self._connection.receive_data(data)
        method, body = b"", b""
        while True:
            event = self._connection.next_event()
            if isinstance(event, h11.Request):
                method, body = event.method, b""
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                yield method.decode(), body
                self._connection.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
                self._connection.send(h11.EndOfMessage())
                if self._connection.our_state is not h11.DONE or self._connection.their_state is not h11.DONE:
                    return
                self._connection.start_next_cycle()
            else:
                return


LINES = st.sampled_from(
    (
        b"Content-Length: 5|Content-Length: 0|Content-Length: 05|content-length:5|Content-Length: 5 |Connection: close|"
        b"Transfer-Encoding: chunked|transfer-encoding: Chunked|Transfer-Encoding:chunked |Upgrade: h2c|"
        b"Connection: upgrade|Connection: keep-alive|Expect: 100-continue|X: a\r\n b|X : a|\tX: a|Host: a|X: "
    ).split(b"|")
).map(lambda line: line + b"\r\n")
BODIES = st.sampled_from(
    [b"", b"hello", b"5\r\nhello\r\n0\r\n\r\n", b"0\r\n\r\n", b"5;x\r\nhello\r\n0\r\nT: u\r\n\r\n", SMUGGLED, GET]
)
STARTS = st.sampled_from([b"POST /a HTTP/1.1\r\n", b"GET /a HTTP/1.1\r\n", b"POST http://shop/a HTTP/1.1\r\n"])
MESSAGES = st.lists(
    st.tuples(STARTS, st.just(HOST), st.lists(LINES, max_size=4).map(b"".join), st.just(b"\r\n"), BODIES).map(b"".join),
    min_size=1,
    max_size=3,
).map(b"".join)


@settings(max_examples=500)
@given(sent=MESSAGES, cuts=st.lists(st.integers(0, 400), max_size=6))
def test_any_pieces_give_the_same_requests_and_another_parser_agrees_with_what_is_accepted(
    sent: bytes, cuts: list[int]
) -> None:
    places = [0, *sorted({min(each, len(sent)) for each in cuts}), len(sent)]
    pieces = [sent[start:end] for start, end in pairwise(places)]
    whole = outcome([sent])
    assert outcome(pieces) == outcome(sent[at : at + 1] for at in range(len(sent))) == whole
    agreed: list[tuple[str, bytes]] = []
    try:
        agreed.extend(Peer().requests(sent))
    except h11.RemoteProtocolError:
        # What the other parser refuses must not have been taken for more requests here than there.
        assert len(whole[0]) <= len(agreed) + 1
        return
    assert [(method, body) for method, _, body in whole[0]] == agreed[: len(whole[0])]


LARGE = Bounds(body_max_bytes=10, body_max_bytes_by_path={"/a": 100})


def feed(allowance: Allowance, *pieces: bytes) -> RequestParser:
    parser = RequestParser(LARGE, allowance)
    for piece in pieces:
        parser.feed(piece)
    return parser


def test_a_large_body_takes_its_bytes_of_the_allowance_until_its_request_is_answered() -> None:
    allowance = Allowance(100)
    whole = post(length(b"x" * 60), body=b"x" * 60)
    first = feed(allowance, whole)
    second = feed(allowance, whole)
    assert second.refused is not None
    assert second.refused.kind.slug == "overloaded"
    assert feed(allowance, post(length(b"small"), body=b"small")).refused is None, "most bodies need no allowance"
    first.release(first.requests.popleft())
    assert feed(allowance, whole).refused is None


@pytest.mark.parametrize("end", [60, 59, 30])
def test_a_connection_that_ends_gives_back_what_its_bodies_took(end: int) -> None:
    allowance = Allowance(60)
    feed(allowance, post(length(b"x" * 60), body=b"x" * end)).close()
    assert allowance.take(60)


def test_a_body_above_the_bound_of_its_path_gives_back_what_it_took() -> None:
    allowance = Allowance(200)
    chunks = b"50\r\n" + b"x" * 80 + b"\r\n"
    refused = feed(allowance, post(CHUNKED), chunks, chunks).refused
    assert refused is not None
    assert refused.kind.slug == "content-too-large"
    assert allowance.take(200)
