"""Renders docs/http-api.md from the table of routes: `python -m tests.documents.http_api > docs/http-api.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from jangteo import __version__
from jangteo.api import problems
from jangteo.api.access.rules import Access
from jangteo.api.openapi import document
from jangteo.api.problems import Kind
from jangteo.api.route import Route
from jangteo.api.routes import ROUTES

_PAGE = """# The HTTP API

<!-- Don't edit: `.venv/bin/python -m tests.documents.http_api > docs/http-api.md` renders it from src/jangteo/api. -->

Every call on one page. A running server has the details: OpenAPI 3.1 at `/schema/openapi.json`, the same for people at
`/schema`, an explanation of each problem at its `type`, and the JSON Schemas of the events at `/schema/events`.

- **Bodies** are JSON with camelCase names, sent with `Content-Type: application/json` and no `Content-Encoding`. Money
  is in the currency's minor unit. Money, quantities and ids are whole numbers below 2^53; timestamps are RFC 3339, in
  UTC. Unknown fields, fields given twice and unknown query parameters are rejected.
- **`Idempotency-Key`** (optional, on every POST but `/bulk` and those for tokens): the request is carried out once. The
  same request with the same key gets the first answer again, with the header `Idempotency-Replayed: true`.
- **Paged** lists take `?limit=` and `?after=`; the header `Link` with `rel="next"` names the next page,
  relative to the request: `<?limit=100&after=100>`.
- **`POST /bulk`** takes up to 1,000 calls, each a POST or PATCH:
  `[{{"call": "POST /orders", "key": "…", "body": {{…}}}}, …]`. They are executed one after the other, and each is
  answered with the status and the body that it would have alone: `[{{"status": 201, "body": {{…}}}}, …]`. A refused
  or failed one doesn't keep the next from being executed. `key` is the call's Idempotency-Key; `"replayed": true`
  stands for `Idempotency-Replayed`, and `retryAfter` for `Retry-After`. The body may have 2 MiB, and that of each
  call as much as alone.
- **Access.** Unless the shop is open to all, a request needs `Authorization: Bearer` with an API key that has the
  call's *scope*, or with a customer's token. *Customers* says which ones may make a call: `own`, whom its path or body
  names (they may leave `userId` out of a body); `own-order`, who placed the order; `all`. Public reads say *anyone*;
  `--no-public-reads` closes them. Everything that is done names its `actor`: `key:3`, `customer:7`, `cli`, or `open`
  where the shop is open to all.
- **Refusals** are problems (RFC 9457). A refused request has changed nothing; the body carries the facts.

## Calls

{calls}

## Problems

The `type` of a problem is `/problems/` and its name.

### Refusals

{refusals}

Every POST with a key can answer `idempotency-key-reused`, so the table of calls doesn't repeat it.

### Any call

{any_call}
"""


def render() -> str:
    """The page, as it should be."""
    operations: dict[str, Any] = document(ROUTES, __version__)["paths"]
    return _PAGE.format(
        calls=_table(
            ("method", "path", "what it does", "scope", "customers", "success", "refusals"),
            (_call(route, operations[route.path][route.method.lower()]) for route in ROUTES),
        ),
        refusals=_problem_table(each for each in problems.REFUSALS.values() if each not in problems.ANY_CALL),
        any_call=_problem_table(problems.ANY_CALL),
    )


def _call(route: Route, operation: dict[str, Any]) -> tuple[str, ...]:
    schema = operation["responses"][str(route.status)]["content"]["application/json"]["schema"]
    refusals = [problems.REFUSALS[each].slug for each in route.refusals]
    return (
        route.method,
        f"`{route.path}`",
        f"{operation['summary']}.{_query(operation)}",
        _scope(route.access),
        "" if route.access.customers == "none" else route.access.customers,
        f"{route.status} {_type(schema)}",
        ", ".join(f"`{slug}`" for slug in refusals),
    )


def _scope(access: Access) -> str:
    if access.public == "always":
        return "anyone"
    if access.public == "reads":
        return f"anyone, else `{access.scope}`"
    return f"`{access.scope}`" if access.scope else "that of each call"


def _query(operation: dict[str, Any]) -> str:
    names = [each["name"] for each in operation["parameters"] if each["in"] == "query"]
    if "after" in names:
        return " Paged."
    return f" Takes {', '.join(f'`?{name}=`' for name in names)}." if names else ""


def _type(schema: dict[str, Any]) -> str:
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    return f"`{schema['$ref'].rpartition('/')[2]}`"


def _problem_table(kinds: Iterable[Kind]) -> str:
    return _table(
        ("problem", "status", "what it means"),
        ((f"`{kind.slug}`", str(kind.status), kind.meaning) for kind in kinds),
    )


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = (head, ("---",) * len(head), *rows)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


if __name__ == "__main__":
    sys.stdout.write(render())
