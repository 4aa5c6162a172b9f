"""The ASGI application: finds the route, parses the request, runs the command or query, makes the response."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any, Final

import structlog

from jangteo.api import problems
from jangteo.api.drain import Drain
from jangteo.api.requests import (
    Malformed,
    read_body,
    read_headers,
    read_ids,
    read_query,
    receive_body,
)
from jangteo.api.responses import Response, failure, outcome_response, problem_response, result_response
from jangteo.api.route import Route
from jangteo.api.router import Router
from jangteo.core.book import Command
from jangteo.core.health import CheckWritable
from jangteo.engine.best_sellers import BestSellers, BestSellersRequest
from jangteo.engine.commands import Commands
from jangteo.engine.reads import Reads
from jangteo.engine.worker_pool import Overloaded, Stopped
from jangteo.storage.errors import Unavailable
from jangteo.storage.port import Query

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
StaticPage = Callable[[Scope], Response]

log = structlog.get_logger()
_ROUTED_AS: Final = {"HEAD": "GET"}
"""uvicorn sends the response to a HEAD without its body."""
_CLOSE: Final = (b"connection", b"close")
"""uvicorn closes the connection after a response with this header."""


class Api:
    """Answers HTTP requests with the shop's commands, queries and static pages."""

    def __init__(
        self,
        routes: Iterable[Route],
        pages: Mapping[str, StaticPage],
        commands: Commands,
        reads: Reads,
        best_sellers: BestSellers,
        *,
        drain: Drain,
        body_max_bytes: int,
    ) -> None:
        self._router = Router(routes)
        self._pages = pages
        self._commands = commands
        self._reads = reads
        self._best_sellers = best_sellers
        self._drain = drain
        self._body_max_bytes = body_max_bytes
        self._last_encoded: tuple[object, str, Response] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        status, headers, body = await self._response(scope, receive)
        if self._drain.has_begun:
            # The client's next connection may reach another server.
            headers = [*headers, _CLOSE]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _response(self, scope: Scope, receive: Receive) -> Response:
        try:
            return await self._answer(scope, receive)
        except Malformed as error:
            return problem_response(problems.problem(error.kind, error.detail, field=error.field))
        except (Overloaded, Stopped):
            return failure(problems.OVERLOADED)
        except asyncio.CancelledError:
            # The server is closing, and the shutdown timeout has passed before this request was complete.
            return failure(problems.UNAVAILABLE)
        except (Unavailable, TimeoutError):
            return failure(problems.UNAVAILABLE)
        except Exception:
            log.exception("request failed", method=scope["method"], path=scope["path"])
            return failure(problems.INTERNAL)

    async def _answer(self, scope: Scope, receive: Receive) -> Response:
        path: str = scope["path"]
        match = self._router.find(path)
        if match is None:
            return self._page(scope)
        method: str = scope["method"]
        route = match.by_method.get(_ROUTED_AS.get(method, method))
        if route is None:
            return _method_not_allowed(match.by_method)
        arguments: list[Any] = read_ids(route.ids, match.ids) if match.ids else []
        if route.query is not None:
            arguments.extend(read_query(route.query, scope["query_string"]))
        key = None
        if route.body is not None:
            key = read_headers(scope["headers"])
            raw = await receive_body(receive, self._body_max_bytes)
            arguments.append(read_body(route, raw))
        asked: Any = route.endpoint(*arguments)
        if isinstance(asked, Query):
            return self._encode_once(route, path, await self._reads.run(asked))
        if isinstance(asked, BestSellersRequest):
            return self._encode_once(route, path, await self._best_sellers.read(asked))
        if not isinstance(asked, Command):
            return result_response(route, path, asked)
        return await self._execute(route, asked, key if route.takes_key else None)

    async def _execute(self, route: Route, command: Command, key: str | None) -> Response:
        if self._drain.has_begun and isinstance(command, CheckWritable):
            return failure(problems.DRAINING)
        outcome = self._commands.submit(command, key)
        return outcome_response(
            route, await asyncio.wait_for(outcome, route.timeout_s) if route.timeout_s else await outcome
        )

    def _encode_once(self, route: Route, path: str, result: object) -> Response:
        """Make the response for a result; equal queries of one batch share their result, which is encoded once."""
        if self._last_encoded is None or self._last_encoded[0] is not result or self._last_encoded[1] != path:
            self._last_encoded = result, path, result_response(route, path, result)
        return self._last_encoded[2]

    def _page(self, scope: Scope) -> Response:
        page = self._pages.get(scope["path"])
        if page is None:
            detail = f"Nothing has the path {scope['path']}; /schema lists all paths"
            return failure(problems.NOT_FOUND, detail)
        if scope["method"] not in ("GET", "HEAD"):
            return _method_not_allowed({"GET"})
        return page(scope)


def _method_not_allowed(methods: Iterable[str]) -> Response:
    allowed = sorted({*methods, *({"HEAD"} if "GET" in methods else ())})
    body = problems.problem(problems.METHOD_NOT_ALLOWED)
    return problem_response(body, (b"allow", ", ".join(allowed).encode()))
