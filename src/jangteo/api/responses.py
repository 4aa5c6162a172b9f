"""Responses: from results, outcomes and problems to a status, headers and a body."""

from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

import msgspec

from jangteo.api import problems
from jangteo.api.http.messages import Header, Response
from jangteo.api.problems import Kind
from jangteo.api.route import Route
from jangteo.core.refusals import Refusal
from jangteo.engine.outcomes import SerializedOutcome
from jangteo.storage.port import AsOf, Page

_encode = msgspec.json.Encoder().encode
_JSON: Final = (b"content-type", b"application/json")
_PROBLEM: Final = (b"content-type", b"application/problem+json")
_ALWAYS: Final = ((b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"))
"""An answer is what it says it is, and true at its moment only."""
_REPLAYED: Final = (b"idempotency-replayed", b"true")
_RETRY_AFTER: Final = (b"retry-after", str(problems.RETRY_AFTER_S).encode())
_UNAVAILABLE: Final = 503


def result_response(route: Route, result: object, query: bytes = b"") -> Response:
    """Make the response for what was read: an entity, a page of a list, or a refusal.

    `query` is the request's, for the link to the next page.
    """
    if isinstance(result, Refusal):
        return problem_response(problems.problem_of(result))
    if isinstance(result, Page):
        return _page(route, result, query)
    if isinstance(result, AsOf):
        success = _success(route, _encode(result.value))
        success.headers.append((b"as-of", _encode(result.timestamp).strip(b'"')))
        return success
    return _success(route, _encode(result))


def outcome_response(route: Route, outcome: SerializedOutcome) -> Response:
    """Make the response for a command's outcome: a result, which is JSON already, or a refusal."""
    refusal = outcome.refusal()
    response = _success(route, outcome.body) if refusal is None else problem_response(problems.problem_of(refusal))
    if outcome.replayed:
        response.headers.append(_REPLAYED)
    return response


def problem_response(body: dict[str, Any], *headers: Header) -> Response:
    """Make the response for a problem. A 503 says with `Retry-After` when to retry."""
    encoded = _encode(body)
    status = body["status"]
    all_headers = [_PROBLEM, *_ALWAYS, (b"content-length", b"%d" % len(encoded)), *headers]
    if status == _UNAVAILABLE:
        all_headers.append(_RETRY_AFTER)
    return Response(status, all_headers, encoded)


def failure(kind: Kind, detail: str | None = None) -> Response:
    """Make the response for a problem that is not a refusal."""
    return problem_response(problems.problem(kind, detail))


def json_response(status: int, body: bytes) -> Response:
    """Make the response whose body is this JSON."""
    return Response(status, [_JSON, *_ALWAYS, (b"content-length", b"%d" % len(body))], body)


def _success(route: Route, body: bytes) -> Response:
    return json_response(route.status, body)


def _page(route: Route, page: Page[Any], query: bytes) -> Response:
    success = _success(route, _encode(page.items))
    if page.next_after is not None:
        parameters = parse_qsl(query.decode("utf-8", "replace"), keep_blank_values=True)
        others = [each for each in parameters if each[0] not in ("limit", "after")]
        following = urlencode([*others, ("limit", len(page.items)), ("after", page.next_after)])
        # Relative to the request, so that it holds behind any proxy and prefix.
        success.headers.append((b"link", f'<?{following}>; rel="next"'.encode()))
    return success
