"""What goes back to a client: a status, headers, bytes."""

from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

import msgspec

from jangteo.api import problems
from jangteo.api.problems import Kind
from jangteo.api.route import Route
from jangteo.core.refusals import Refusal
from jangteo.storage.port import Page

Header = tuple[bytes, bytes]

_encode = msgspec.json.Encoder().encode
_JSON: Final = (b"content-type", b"application/json")
_PROBLEM: Final = (b"content-type", b"application/problem+json")
_REPLAYED: Final = (b"idempotency-replayed", b"true")
_RETRY_AFTER: Final = (b"retry-after", str(problems.RETRY_AFTER_S).encode())
_UNAVAILABLE: Final = 503


class Reply(NamedTuple):
    """An answer, ready to be sent."""

    status: int
    headers: list[Header]
    body: bytes


def reply(route: Route, path: str, outcome: object, *, replayed: bool = False) -> Reply:
    """What the shop said: a result, a page of a list, or a refusal."""
    if isinstance(outcome, Refusal):
        refused = problem_reply(problems.problem_of(outcome))
        if replayed:
            refused.headers.append(_REPLAYED)
        return refused
    if isinstance(outcome, Page):
        return _page(route, path, outcome)
    body = _encode(outcome)
    headers = [_JSON, (b"content-length", b"%d" % len(body))]
    if replayed:
        headers.append(_REPLAYED)
    return Reply(route.status, headers, body)


def problem_reply(body: dict[str, Any], *headers: Header) -> Reply:
    """A problem; 503 says when to ask again."""
    encoded = _encode(body)
    status = body["status"]
    all_headers = [_PROBLEM, (b"content-length", b"%d" % len(encoded)), *headers]
    if status == _UNAVAILABLE:
        all_headers.append(_RETRY_AFTER)
    return Reply(status, all_headers, encoded)


def failure(kind: Kind, detail: str | None = None) -> Reply:
    """A problem that is no refusal of the shop's."""
    return problem_reply(problems.problem(kind, detail))


def _page(route: Route, path: str, page: Page[Any]) -> Reply:
    body = _encode(page.items)
    headers = [_JSON, (b"content-length", b"%d" % len(body))]
    if page.next_after is not None:
        following = urlencode({"limit": len(page.items), "after": page.next_after})
        headers.append((b"link", f'<{path}?{following}>; rel="next"'.encode()))
    return Reply(route.status, headers, body)
