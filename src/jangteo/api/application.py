"""The application: finds the route, parses the request, runs the command or query, makes the response."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from jangteo.api import problems
from jangteo.api.access.browsers import Browsers
from jangteo.api.access.door import Door, as_own
from jangteo.api.access.limiter import Limiter
from jangteo.api.access.shop_tokens import ShopTokens
from jangteo.api.bulk import Bulk, BulkRequest
from jangteo.api.drain import Drain
from jangteo.api.errors import problem_for
from jangteo.api.http.messages import Request, Response
from jangteo.api.keys import NewKeyRequest
from jangteo.api.requests import (
    Rejected,
    read_body,
    read_headers,
    read_ids,
    read_query,
    refuse_query,
    unknown_method,
    unknown_path,
)
from jangteo.api.responses import failure, outcome_response, problem_response, result_response
from jangteo.api.route import Route
from jangteo.api.router import Router, allowed_methods
from jangteo.api.tokens import TokenRequest
from jangteo.core.book import Command
from jangteo.core.health import CheckWritable
from jangteo.engine.best_sellers import BestSellers, BestSellersRequest
from jangteo.engine.caller import OPEN, Caller
from jangteo.engine.commands import Commands
from jangteo.engine.reads import Reads
from jangteo.storage.port import Query

StaticPage = Callable[[Request], Response]

_ROUTED_AS: Final = {"HEAD": "GET"}
"""The connection sends the response to a HEAD without its body."""


class Api:
    """Answers HTTP requests with the shop's commands, queries and static pages."""

    def __init__(
        self,
        routes: Sequence[Route],
        pages: Mapping[str, StaticPage],
        commands: Commands,
        reads: Reads,
        best_sellers: BestSellers,
        *,
        browsers: Browsers,
        door: Door | None,
        limiter: Limiter,
        shop_tokens: ShopTokens,
        drain: Drain,
        body_max_bytes: int,
    ) -> None:
        """Without a door anyone may make every call."""
        self._door = door
        self._router = Router(routes)
        self._pages = pages
        self._commands = commands
        self._reads = reads
        self._best_sellers = best_sellers
        self._browsers = browsers
        self._limiter = limiter
        self._shop_tokens = shop_tokens
        self._bulk = Bulk(routes, commands, door=door, body_max_bytes=body_max_bytes)
        self._drain = drain
        self._last_encoded: tuple[object, bytes, Response] | None = None

    async def respond(self, request: Request) -> Response:
        """Answer one request."""
        try:
            self._browsers.check(request)
            response = await self._answer(request)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - whatever it is, it is answered
            headers = error.headers if isinstance(error, Rejected) else ()
            response = problem_response(problem_for(error, method=request.method, path=request.path), *headers)
        return self._browsers.let_read(request, response)

    async def _answer(self, request: Request) -> Response:
        match = self._router.find(request.path)
        if match is None:
            return self._page(request)
        route = match.by_method.get(_ROUTED_AS.get(request.method, request.method))
        if route is None:
            return self._refuse_method(request, match.by_method)
        caller = OPEN if self._door is None else await self._door.identify(request, route.access)
        # Before the caller is refused anything: those requests count, too.
        standing = None if route.access.public == "always" else self._limiter.count(request, caller)
        if self._door is not None:
            self._door.check(caller, route.access)
        arguments, key = _read(route, match.ids, request)
        own = as_own(caller, route, arguments)
        requested = route.endpoint(*arguments, **own)
        if isinstance(requested, BulkRequest):
            response = await self._bulk.respond(requested, key, caller, partial(self._limiter.count, request, caller))
            standing = self._limiter.look(request, caller)
        else:
            response = await self._do(route, requested, request.query, key, caller)
        # Not in place: equal requests share their response.
        return response if standing is None else response._replace(headers=[*response.headers, *standing.headers()])

    async def _do(self, route: Route, requested: Any, query: bytes, key: str | None, caller: Caller) -> Response:
        if isinstance(requested, Query):
            return self._encode_once(route, query, await self._reads.run(requested))
        if isinstance(requested, Command):
            return await self._execute(route, requested, key if route.takes_key else None, caller)
        if isinstance(requested, BestSellersRequest):
            return self._encode_once(route, query, await self._best_sellers.read(requested))
        if isinstance(requested, NewKeyRequest):
            outcome = await self._commands.submit(requested.command, key, caller)
            return outcome_response(route, requested.complete(outcome))
        if isinstance(requested, TokenRequest):
            requested = await self._shop_tokens.give(requested)
        return result_response(route, requested)

    async def _execute(self, route: Route, command: Command, key: str | None, caller: Caller) -> Response:
        if self._drain.has_begun and isinstance(command, CheckWritable):
            return failure(problems.DRAINING)
        outcome = self._commands.submit(command, key, caller)
        if route.timeout_s is None:
            return outcome_response(route, await outcome)
        async with asyncio.timeout(route.timeout_s):
            return outcome_response(route, await outcome)

    def _encode_once(self, route: Route, query: bytes, result: object) -> Response:
        """Make the response for a result; equal queries of one batch share their result, which is encoded once."""
        if self._last_encoded is None or self._last_encoded[0] is not result or self._last_encoded[1] != query:
            self._last_encoded = result, query, result_response(route, result, query)
        return self._last_encoded[2]

    def _page(self, request: Request) -> Response:
        page = self._pages.get(request.path)
        if page is None:
            raise unknown_path(request.path)
        if request.method not in ("GET", "HEAD"):
            return self._refuse_method(request, {"GET"})
        refuse_query(request.query)
        return page(request)

    def _refuse_method(self, request: Request, methods: Iterable[str]) -> Response:
        """Answer a method that a path doesn't take: a browser's question about the others, or a problem."""
        allowed = allowed_methods(methods)
        preflight = self._browsers.preflight(request, allowed)
        return preflight or problem_response(problem_for(unknown_method(allowed)), (b"allow", allowed.encode()))


def _read(route: Route, ids: Sequence[str], request: Request) -> tuple[list[Any], str | None]:
    """Read the arguments of a call's endpoint, and the request's idempotency key. Raises Malformed."""
    arguments: list[Any] = read_ids(route.ids, ids) if ids else []
    if route.query is not None:
        arguments.extend(read_query(route.query, request.query))
    elif request.query:
        refuse_query(request.query)
    if route.body is None:
        return arguments, None
    key = read_headers(request)
    arguments.append(read_body(route, request.body))
    return arguments, key
