"""What a route is: a row of the table in `routes.py`, and all that the API and its documentation know of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import msgspec
from msgspec import Struct

from jangteo.core.book import Command
from jangteo.core.refusals import Refusal
from jangteo.engine.best_sellers import BestSellersRequest
from jangteo.storage.port import Query

Endpoint = (
    Callable[..., Command] | Callable[..., Query[Any]] | Callable[..., BestSellersRequest] | Callable[..., Struct]
)


@dataclass(frozen=True)
class Route:
    """One call.

    The endpoint takes the ids of the path, then the fields of the query, then the body; it returns a command to
    submit, a query to run, a request for the best sellers, or the answer itself.
    """

    method: Literal["GET", "POST", "PATCH"]
    path: str
    endpoint: Endpoint
    status: int
    answer: Any
    """The type of the success body, for its schema."""
    refusals: tuple[type[Refusal], ...] = ()
    body: type[Struct] | None = None
    query: type[Struct] | None = None
    malformed: Mapping[str, type[Refusal]] = field(default_factory=dict)
    """Fields of the body whose malformed values are a refusal of their own."""
    within_s: float | None = None
    """What takes longer is answered with 503: who asks this wants to know whether it can be done now."""

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """The names of the ids in the path, in order."""
        return tuple(part[1:-1] for part in self.path.split("/") if part.startswith("{"))

    @cached_property
    def decode(self) -> Callable[[bytes], Any]:
        """From the bytes of a body to its type."""
        return msgspec.json.Decoder(self.body).decode

    @cached_property
    def body_may_be_empty(self) -> bool:
        """Whether every field of the body may be left out."""
        return self.body is None or not any(each.required for each in msgspec.structs.fields(self.body))

    @cached_property
    def takes_key(self) -> bool:
        """Every POST takes an Idempotency-Key."""
        return self.method == "POST"


def get(
    path: str,
    endpoint: Endpoint,
    answer: Any,
    *refusals: type[Refusal],
    query: type[Struct] | None = None,
    within_s: float | None = None,
) -> Route:
    """A read."""
    return Route("GET", path, endpoint, 200, answer, refusals, query=query, within_s=within_s)


def post(
    path: str,
    endpoint: Endpoint,
    body: type[Struct],
    status: int,
    answer: Any,
    *refusals: type[Refusal],
    malformed: Mapping[str, type[Refusal]] | None = None,
) -> Route:
    """A command, done once for each Idempotency-Key."""
    return Route("POST", path, endpoint, status, answer, refusals, body, malformed=malformed or {})


def patch(path: str, endpoint: Endpoint, body: type[Struct], answer: Any, *refusals: type[Refusal]) -> Route:
    """A command that changes what it names, and may be sent again without harm."""
    return Route("PATCH", path, endpoint, 200, answer, refusals, body)
