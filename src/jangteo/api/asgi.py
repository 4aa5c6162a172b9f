"""The ASGI application: match, read, ask the shop, response. Every call goes this one way."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any, Final

import structlog

from jangteo.api import problems
from jangteo.api.requests import (
    Malformed,
    read_body,
    read_headers,
    read_ids,
    read_query,
    receive_body,
)
from jangteo.api.responses import Response, failure, outcome_response, problem_response, response
from jangteo.api.route import Route
from jangteo.api.router import Router
from jangteo.core.book import Command
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
_READ_AS: Final = {"HEAD": "GET"}
"""The server sends a HEAD's answer without its body."""


class Api:
    """The shop's calls over HTTP."""

    def __init__(
        self,
        routes: Iterable[Route],
        pages: Mapping[str, StaticPage],
        commands: Commands,
        reads: Reads,
        best_sellers: BestSellers,
        *,
        body_max_bytes: int,
    ) -> None:
        self._map = Router(routes)
        self._pages = pages
        self._commands = commands
        self._reads = reads
        self._best_sellers = best_sellers
        self._body_max_bytes = body_max_bytes
        self._last_read: tuple[object, str, Response] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        status, headers, body = await self._response(scope, receive)
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
            # The server is closing, and this client has kept it waiting for too long.
            return failure(problems.UNAVAILABLE)
        except (Unavailable, TimeoutError):
            return failure(problems.UNAVAILABLE)
        except Exception:
            log.exception("defect", method=scope["method"], path=scope["path"])
            return failure(problems.INTERNAL)

    async def _answer(self, scope: Scope, receive: Receive) -> Response:
        path: str = scope["path"]
        found = self._map.find(path)
        if found is None:
            return self._page(scope)
        method: str = scope["method"]
        route = found.by_method.get(_READ_AS.get(method, method))
        if route is None:
            return _other_methods(found.by_method)
        arguments: list[Any] = read_ids(route.ids, found.ids) if found.ids else []
        if route.query is not None:
            arguments.extend(read_query(route.query, scope["query_string"]))
        key = None
        if route.body is not None:
            key = read_headers(scope["headers"])
            raw = await receive_body(receive, self._body_max_bytes)
            arguments.append(read_body(route, raw))
        asked: Any = route.endpoint(*arguments)
        if isinstance(asked, Query):
            return self._read_response(route, path, await self._reads.run(asked))
        if isinstance(asked, BestSellersRequest):
            return self._read_response(route, path, await self._best_sellers.read(asked))
        if not isinstance(asked, Command):
            return response(route, path, asked)
        outcome = self._commands.submit(asked, key if route.takes_key else None)
        return outcome_response(
            route, await asyncio.wait_for(outcome, route.within_s) if route.within_s else await outcome
        )

    def _read_response(self, route: Route, path: str, answer: object) -> Response:
        # Who asked the same at the same moment is given the same answer, which is put in JSON once.
        if self._last_read is None or self._last_read[0] is not answer or self._last_read[1] != path:
            self._last_read = answer, path, response(route, path, answer)
        return self._last_read[2]

    def _page(self, scope: Scope) -> Response:
        page = self._pages.get(scope["path"])
        if page is None:
            detail = f"There is nothing at {scope['path']}; see /schema"
            return failure(problems.NOT_FOUND, detail)
        if scope["method"] not in ("GET", "HEAD"):
            return _other_methods({"GET"})
        return page(scope)


def _other_methods(methods: Iterable[str]) -> Response:
    allowed = sorted({*methods, *({"HEAD"} if "GET" in methods else ())})
    body = problems.problem(problems.METHOD_NOT_ALLOWED)
    return problem_response(body, (b"allow", ", ".join(allowed).encode()))
