"""What goes back to a client: a status, headers, bytes."""

from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

import msgspec

from jangteo.api import problems
from jangteo.api.problems import Kind
from jangteo.api.route import Route
from jangteo.core.refusals import Refusal
from jangteo.engine.outcomes import SerializedOutcome
from jangteo.storage.port import AsOf, Page

Header = tuple[bytes, bytes]

_encode = msgspec.json.Encoder().encode
_JSON: Final = (b"content-type", b"application/json")
_PROBLEM: Final = (b"content-type", b"application/problem+json")
_REPLAYED: Final = (b"idempotency-replayed", b"true")
_RETRY_AFTER: Final = (b"retry-after", str(problems.RETRY_AFTER_S).encode())
_UNAVAILABLE: Final = 503


class Response(NamedTuple):
    """An answer, ready to be sent."""

    status: int
    headers: list[Header]
    body: bytes


def response(route: Route, path: str, answer: object) -> Response:
    """What was read: a thing, a page of a list, or a refusal."""
    if isinstance(answer, Refusal):
        return problem_response(problems.problem_of(answer))
    if isinstance(answer, Page):
        return _page(route, path, answer)
    if isinstance(answer, AsOf):
        shown = _success(route, _encode(answer.value))
        shown.headers.append((b"as-of", _encode(answer.timestamp).strip(b'"')))
        return shown
    return _success(route, _encode(answer))


def outcome_response(route: Route, outcome: SerializedOutcome) -> Response:
    """What the shop decided: a result, which is JSON already, or a refusal."""
    refusal = outcome.refusal()
    decided = _success(route, outcome.body) if refusal is None else problem_response(problems.problem_of(refusal))
    if outcome.replayed:
        decided.headers.append(_REPLAYED)
    return decided


def problem_response(body: dict[str, Any], *headers: Header) -> Response:
    """A problem; 503 says when to ask again."""
    encoded = _encode(body)
    status = body["status"]
    all_headers = [_PROBLEM, (b"content-length", b"%d" % len(encoded)), *headers]
    if status == _UNAVAILABLE:
        all_headers.append(_RETRY_AFTER)
    return Response(status, all_headers, encoded)


def failure(kind: Kind, detail: str | None = None) -> Response:
    """A problem that is no refusal of the shop's."""
    return problem_response(problems.problem(kind, detail))


def _success(route: Route, body: bytes) -> Response:
    return Response(route.status, [_JSON, (b"content-length", b"%d" % len(body))], body)


def _page(route: Route, path: str, page: Page[Any]) -> Response:
    shown = _success(route, _encode(page.items))
    if page.next_after is not None:
        following = urlencode({"limit": len(page.items), "after": page.next_after})
        shown.headers.append((b"link", f'<{path}?{following}>; rel="next"'.encode()))
    return shown
