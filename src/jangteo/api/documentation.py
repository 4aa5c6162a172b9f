"""Static pages beside the calls: the API's documentation, for programs and for people."""

from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined

from jangteo.api import event_schemas, examples, problems
from jangteo.api.access.browsers import PAGE_HEADERS
from jangteo.api.http.messages import Request, Response
from jangteo.api.openapi import document
from jangteo.api.problems import Kind
from jangteo.api.route import Route

StaticPage = Callable[[Request], Response]

DOCUMENTATION: Final = "/schema"
OPENAPI: Final = "/schema/openapi.json"


def pages(routes: Iterable[Route], version: str) -> dict[str, StaticPage]:
    """Return every page by its path, rendered once."""
    openapi = document(routes, version)
    environment = Environment(loader=PackageLoader("jangteo.api"), autoescape=True, undefined=StrictUndefined)
    environment.filters["pretty"] = _pretty
    as_json = _response(b"application/json", msgspec.json.encode(openapi))
    reference = environment.get_template("reference.html")
    events = event_schemas.index()
    as_html = _html(reference.render(openapi=openapi, problems=_all_problems(), **events))

    def documentation(request: Request) -> Response:
        """Return HTML to browsers and JSON to everyone else."""
        wants_html = any(name == b"accept" and b"text/html" in value for name, value in request.headers)
        return as_html if wants_html else as_json

    by_path: dict[str, StaticPage] = {
        "/": _always(
            Response(307, [(b"location", DOCUMENTATION.encode()), (b"content-length", b"0"), *PAGE_HEADERS], b"")
        ),
        DOCUMENTATION: documentation,
        OPENAPI: lambda _: as_json,
        event_schemas.EVENTS: _always(_response(b"application/json", msgspec.json.encode(events))),
    }
    for path, schema in event_schemas.event_schemas().items():
        by_path[path] = _always(_response(b"application/schema+json", msgspec.json.encode(schema)))
    for kind, example in _all_problems().items():
        explanation = environment.get_template("problem.html").render(kind=kind, example=example)
        by_path[problems.TYPE_PREFIX + kind.slug] = _always(_html(explanation))
    return by_path


def _all_problems() -> dict[Kind, Any]:
    refusals = {kind: problems.problem_of(examples.REFUSALS[refusal]) for refusal, kind in problems.REFUSALS.items()}
    return refusals | {kind: problems.problem(kind) for kind in problems.ANY_CALL}


def _always(response: Response) -> StaticPage:
    return lambda _: response


def _html(text: str) -> Response:
    return _response(b"text/html; charset=utf-8", text.encode())


def _response(content_type: bytes, body: bytes) -> Response:
    headers = [
        (b"content-type", content_type),
        (b"content-length", b"%d" % len(body)),
        *PAGE_HEADERS,
        (b"vary", b"accept"),
    ]
    return Response(200, headers, body)


def _pretty(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
