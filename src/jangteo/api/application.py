"""The application: finds the route, parses the request, runs the command or query, makes the response."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import structlog

from jangteo.api import problems
from jangteo.api.drain import Drain
from jangteo.api.http.messages import Request, Response
from jangteo.api.rejected_values import shown_bare
from jangteo.api.requests import Malformed, read_body, read_headers, read_ids, read_query, refuse_query
from jangteo.api.responses import failure, outcome_response, problem_response, result_response
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

StaticPage = Callable[[Request], Response]

log = structlog.get_logger()
_ROUTED_AS: Final = {"HEAD": "GET"}
"""The connection sends the response to a HEAD without its body."""


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
    ) -> None:
        self._router = Router(routes)
        self._pages = pages
        self._commands = commands
        self._reads = reads
        self._best_sellers = best_sellers
        self._drain = drain
        self._last_encoded: tuple[object, bytes, Response] | None = None

    async def respond(self, request: Request) -> Response:
        """Answer one request."""
        try:
            return await self._answer(request)
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
            log.exception("request failed", method=request.method, path=request.path)
            return failure(problems.INTERNAL)

    async def _answer(self, request: Request) -> Response:
        match = self._router.find(request.path)
        if match is None:
            return self._page(request)
        route = match.by_method.get(_ROUTED_AS.get(request.method, request.method))
        if route is None:
            return _method_not_allowed(match.by_method)
        arguments: list[Any] = read_ids(route.ids, match.ids) if match.ids else []
        if route.query is not None:
            arguments.extend(read_query(route.query, request.query))
        elif request.query:
            refuse_query(request.query)
        key = None
        if route.body is not None:
            key = read_headers(request)
            arguments.append(read_body(route, request.body))
        asked: Any = route.endpoint(*arguments)
        if isinstance(asked, Query):
            return self._encode_once(route, request.query, await self._reads.run(asked))
        if isinstance(asked, BestSellersRequest):
            return self._encode_once(route, request.query, await self._best_sellers.read(asked))
        if not isinstance(asked, Command):
            return result_response(route, asked)
        return await self._execute(route, asked, key if route.takes_key else None)

    async def _execute(self, route: Route, command: Command, key: str | None) -> Response:
        if self._drain.has_begun and isinstance(command, CheckWritable):
            return failure(problems.DRAINING)
        outcome = self._commands.submit(command, key)
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
            return failure(
                problems.NOT_FOUND, f"Nothing has the path {shown_bare(request.path)}; /schema lists all paths"
            )
        if request.method not in ("GET", "HEAD"):
            return _method_not_allowed({"GET"})
        refuse_query(request.query)
        return page(request)


def _method_not_allowed(methods: Iterable[str]) -> Response:
    allowed = sorted({*methods, *({"HEAD"} if "GET" in methods else ())})
    body = problems.problem(problems.METHOD_NOT_ALLOWED)
    return problem_response(body, (b"allow", ", ".join(allowed).encode()))
