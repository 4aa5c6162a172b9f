"""The OpenAPI 3.1 document, generated from the table of routes and the types that parse the requests."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final, get_args, get_origin

import msgspec

from jangteo.api import examples, health, problems
from jangteo.api.access.rules import Access
from jangteo.api.problems import Kind, Problem
from jangteo.api.route import Route
from jangteo.core import refusals
from jangteo.core.limits import Id

_REF: Final = "#/components/schemas/{name}"
_PROBLEM_JSON: Final = "application/problem+json"
_DESCRIPTION: Final = """\
A commerce core: prepaid balances, exact stock, first-come coupons, orders paid in one step, best sellers.

Amounts are integers in the currency's minor unit; timestamps are RFC 3339 in UTC. Every POST but `/bulk` and
`/users/{userId}/tokens` takes an `Idempotency-Key`: a request that is repeated with its key is executed once, and
answered again with the first answer and `Idempotency-Replayed: true`. A refused request has changed nothing.

Unless the shop is open to all, a request needs `Authorization: Bearer` with an API key or a customer's token.
"""
_KEY_PARAMETER: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "A request repeated with the same key is executed once. Keys are kept for at least 24 hours.",
    "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
}
_REPLAYED_HEADER: Final = {
    "description": "`true` if this is the stored answer to an earlier request with the same key.",
    "schema": {"type": "string", "const": "true"},
}
_LINK_HEADER: Final = {
    "description": 'RFC 8288: `rel="next"` is the next page of the list, if there is one.',
    "schema": {"type": "string"},
}

_SECURITY_SCHEMES: Final = {
    "apiKey": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "jt_<id>_<secret>",
        "description": "An API key of a server or an operator; each call names the scope that it needs. "
        "A shop that was started with `--access open` asks nobody for one.",
    },
    "customerToken": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A customer's token: for the calls that are about this customer.",
    },
}
_AS_OF_HEADER: Final = {
    "description": "The time as of which the answer is exact.",
    "schema": {"type": "string", "format": "date-time"},
}

_RETRY_HEADERS: Final = {
    "Retry-After": {"schema": {"type": "integer"}, "description": "Seconds to wait before a retry."}
}
_RATE_HEADERS: Final = {
    "RateLimit-Policy": {
        "schema": {"type": "string"},
        "description": 'The caller\'s rate: `"customer";q=100;w=10` is 100 requests in 10 seconds.',
    },
    "RateLimit": {
        "schema": {"type": "string"},
        "description": 'What is left of it: `"customer";r=0;t=1` is nothing for 1 second.',
    },
}


def document(routes: Iterable[Route], version: str) -> dict[str, Any]:
    """Make the whole document, ready to be encoded as JSON."""
    routes = tuple(routes)
    refs, components = _schemas(routes)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, refs)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Jangteo",
            "version": version,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": _SECURITY_SCHEMES},
    }


def _schemas(routes: Iterable[Route]) -> tuple[dict[Any, Any], dict[str, Any]]:
    types: list[Any] = [Problem, *refusals.Refusal.__subclasses__()]
    for route in routes:
        types += [each for each in (route.body, route.result) if each is not None]
        types += [each.type for each in _query_fields(route)]
    unique = list(dict.fromkeys(types))
    schemas, components = msgspec.json.schema_components(unique, ref_template=_REF)
    for kind, example in {**examples.BODIES, **examples.RESULTS}.items():
        if kind.__name__ in components:
            components[kind.__name__]["examples"] = [_as_json(example)]
    return dict(zip(unique, schemas, strict=True)), components


def _operation(route: Route, refs: dict[Any, Any]) -> dict[str, Any]:
    summary = " ".join((route.endpoint.__doc__ or "").split())
    operation: dict[str, Any] = {
        "operationId": route.endpoint.__name__,
        "summary": summary.rstrip("."),
        "tags": [route.endpoint.__module__.rpartition(".")[2].replace("_", " ")],
        "parameters": _parameters(route, refs),
        "description": f"Who may make it: {who_may(route.access)}.",
        "security": _security(route.access),
        "responses": _responses(route, refs),
    }
    if route.body is not None:
        example = _example(route.body, examples.BODIES)
        operation["requestBody"] = {
            "required": not route.body_may_be_empty,
            "content": {"application/json": {"schema": refs[route.body], "example": example}},
        }
    return operation


def who_may(access: Access) -> str:
    """Return in words who may make a call of a shop that is not open to all."""
    if access.public == "always":
        return "anyone"
    customers = {
        "none": "",
        "own": "; the customer whom it is about",
        "own-order": "; the customer who placed the order",
        "all": "; customers",
    }[access.customers]
    scope = (
        f"keys with the scope `{access.scope}`" if access.scope else "any key, as far as it may make the calls within"
    )
    return f"{'anyone, or where public reads are closed: ' if access.public == 'reads' else ''}{scope}{customers}"


def _security(access: Access) -> list[dict[str, list[str]]]:
    """Return the alternatives of which a request needs one; the roles of a key are its scopes."""
    if access.public == "always":
        return []
    alternatives: list[dict[str, list[str]]] = [{"apiKey": [access.scope] if access.scope else []}]
    if access.customers != "none":
        alternatives.append({"customerToken": []})
    return [{}, *alternatives] if access.public == "reads" else alternatives


def _parameters(route: Route, refs: dict[Any, Any]) -> list[dict[str, Any]]:
    id_schema = msgspec.json.schema(Id)
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": id_schema, "example": 1} for name in route.ids
    ]
    for each in _query_fields(route):
        default = {"default": each.default} if isinstance(each.default, int | str) else {}
        schema = {**refs[each.type], **default}
        parameter = {"name": each.encode_name, "in": "query", "required": False, "schema": schema}
        parameters.append(parameter)
    if route.takes_key:
        parameters.append(_KEY_PARAMETER)
    return parameters


def _responses(route: Route, refs: dict[Any, Any]) -> dict[str, Any]:
    success: dict[str, Any] = {
        "description": "Done." if route.method != "GET" else "Found.",
        "content": {
            "application/json": {"schema": refs[route.result], "example": _example(route.result, examples.RESULTS)}
        },
    }
    if route.takes_key:
        success["headers"] = {"Idempotency-Replayed": _REPLAYED_HEADER}
    fields = {each.encode_name for each in _query_fields(route)}
    if "after" in fields:
        success["headers"] = {"Link": _LINK_HEADER}
    elif "method" in fields:
        success["headers"] = {"As-Of": _AS_OF_HEADER}
    responses = {str(route.status): success}
    for status, kinds in sorted(_problems(route).items()):
        responses[str(status)] = _problem_response(status, kinds, refs)
    return responses


def _problems(route: Route) -> dict[int, dict[Kind, type | None]]:
    """Collect the problems of a call by status: its refusals, and the problems of any call."""
    by_status: dict[int, dict[Kind, type | None]] = {}
    for refusal in (*route.refusals, *((refusals.KeyReused,) if route.takes_key else ())):
        kind = problems.REFUSALS[refusal]
        by_status.setdefault(kind.status, {})[kind] = refusal
    # No call ignores a query parameter that it doesn't know.
    any_call = [problems.INVALID_REQUEST, problems.OVERLOADED, problems.UNAVAILABLE]
    if route.endpoint is health.ready:
        any_call.append(problems.DRAINING)
    if route.ids:
        # An id with a `/` or an escape in it makes another path.
        any_call.append(problems.NOT_FOUND)
    if route.access.public != "always":
        any_call += [problems.UNAUTHENTICATED, problems.FORBIDDEN, problems.MISDIRECTED, problems.TOO_MANY_REQUESTS]
    if route.access.customers == "own":
        any_call.append(problems.NOT_YOURS)
    if route.body is not None:
        any_call += [problems.CROSS_SITE, problems.BODY_TOO_LARGE, problems.UNSUPPORTED_TYPE]
    for kind in any_call:
        by_status.setdefault(kind.status, {})[kind] = None
    return by_status


def _problem_response(status: int, kinds: dict[Kind, type | None], refs: dict[Any, Any]) -> dict[str, Any]:
    schemas = []
    for kind, refusal in kinds.items():
        slug = {"properties": {"type": {"const": problems.TYPE_PREFIX + kind.slug}}}
        facts = [refs[refusal]] if refusal is not None else []
        schemas.append({"title": kind.title, "allOf": [refs[Problem], slug, *facts]})
    response: dict[str, Any] = {
        "description": " ".join(f"**{kind.slug}**: {kind.meaning}" for kind in kinds),
        "content": {
            _PROBLEM_JSON: {
                "schema": schemas[0] if len(schemas) == 1 else {"anyOf": schemas},
                "examples": {kind.slug: {"value": _problem_example(kind, refusal)} for kind, refusal in kinds.items()},
            }
        },
    }
    if status == problems.UNAUTHENTICATED.status:
        response["headers"] = {
            "WWW-Authenticate": {"schema": {"type": "string"}, "description": "RFC 6750: what a request needs."}
        }
    if status == problems.OVERLOADED.status:
        response["headers"] = _RETRY_HEADERS
    if status == problems.TOO_MANY_REQUESTS.status:
        response["headers"] = {**_RETRY_HEADERS, **_RATE_HEADERS}
    return response


def _problem_example(kind: Kind, refusal: type | None) -> dict[str, Any]:
    if refusal is not None:
        return problems.problem_of(examples.REFUSALS[refusal])
    if kind is problems.INVALID_REQUEST:
        detail = '`userId`: Expected `int`, got `str`; the value is "1"'
        return problems.problem(kind, detail, field="userId")
    return problems.problem(kind)


def _example(kind: Any, of: Mapping[Any, Any]) -> Any:
    """Return the example of a type, or of a list of it."""
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    inner = get_args(kind)
    example = _as_json(of[inner[0] if inner else kind])
    return [example] if inner else example


def _as_json(example: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(example))


def _query_fields(route: Route) -> tuple[msgspec.structs.FieldInfo, ...]:
    return () if route.query is None else msgspec.structs.fields(route.query)
