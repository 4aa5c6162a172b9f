"""A route: one row of the table in `routes.py`, with all that the API and its documentation need of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import msgspec
from msgspec import Struct

from jangteo.api.access.rules import Access
from jangteo.core.book import Command
from jangteo.core.refusals import Refusal
from jangteo.engine.best_sellers import BestSellersRequest
from jangteo.storage.port import Query

Endpoint = (
    Callable[..., Command] | Callable[..., Query[Any]] | Callable[..., BestSellersRequest] | Callable[..., Struct]
)


@dataclass(frozen=True)
class Route:
    """One HTTP call.

    The endpoint takes the ids of the path, then the fields of the query string, then the body. It returns a command,
    a query, a request for the best sellers, a bulk request, a request for a new key, or the result itself.
    """

    method: Literal["GET", "POST", "PATCH"]
    path: str
    endpoint: Endpoint
    status: int
    result: Any
    """The type of a success body, for its schema."""
    access: Access
    """Who may make the call."""
    refusals: tuple[type[Refusal], ...] = ()
    body: Any = None
    """The type of the body: a Struct, or a list of them; None for a read."""
    body_max_bytes: int | None = None
    """The largest body, where that is another one than most calls have."""
    query: type[Struct] | None = None
    malformed: Mapping[str, type[Refusal]] = field(default_factory=dict)
    """Body fields whose malformed values get the problem of a refusal instead of `invalid-request`."""
    timeout_s: float | None = None
    """A command that takes longer is answered with 503; None waits for it."""
    takes_key: bool = False
    """Whether the call takes an Idempotency-Key."""

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """The names of the ids in the path, in order."""
        return tuple(segment[1:-1] for segment in self.path.split("/") if segment.startswith("{"))

    @cached_property
    def decode(self) -> Callable[[bytes], Any]:
        """The decoder of the body; raises msgspec's errors."""
        return msgspec.json.Decoder(self.body).decode

    @cached_property
    def body_may_be_empty(self) -> bool:
        """Whether no field of the body is required."""
        if self.body is None:
            return True
        is_object = isinstance(self.body, type)
        return is_object and not any(each.required for each in msgspec.structs.fields(self.body))


def get(
    path: str,
    endpoint: Endpoint,
    access: Access,
    result: Any,
    *refusals: type[Refusal],
    query: type[Struct] | None = None,
    timeout_s: float | None = None,
) -> Route:
    """Make the route of a read."""
    return Route("GET", path, endpoint, 200, result, access, refusals, query=query, timeout_s=timeout_s)


def post(
    path: str,
    endpoint: Endpoint,
    access: Access,
    body: type[Struct],
    result: Any,
    *refusals: type[Refusal],
    status: int = 201,
    malformed: Mapping[str, type[Refusal]] | None = None,
) -> Route:
    """Make the route of a command that is executed once for each Idempotency-Key."""
    return Route(
        "POST", path, endpoint, status, result, access, refusals, body, malformed=malformed or {}, takes_key=True
    )


def answer(
    path: str, endpoint: Endpoint, access: Access, body: type[Struct], result: Any, *refusals: type[Refusal]
) -> Route:
    """Make the route of a POST that makes something for its answer only, and so takes no key."""
    return Route("POST", path, endpoint, 201, result, access, refusals, body)


def many(path: str, endpoint: Endpoint, access: Access, body: Any, result: Any, *, body_max_bytes: int) -> Route:
    """Make the route of a request that executes other calls, which have keys of their own."""
    return Route("POST", path, endpoint, 200, result, access, body=body, body_max_bytes=body_max_bytes)


def patch(
    path: str, endpoint: Endpoint, access: Access, body: type[Struct], result: Any, *refusals: type[Refusal]
) -> Route:
    """Make the route of a command that is idempotent without a key."""
    return Route("PATCH", path, endpoint, 200, result, access, refusals, body)
