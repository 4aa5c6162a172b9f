"""Many commands in one request: each is executed in its turn and answered as if it had come alone."""

import asyncio
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from jangteo.api import problems
from jangteo.api.access.door import Door, as_own
from jangteo.api.bodies import Body
from jangteo.api.errors import problem_for
from jangteo.api.http.messages import Response
from jangteo.api.keys import NewKey
from jangteo.api.rejected_values import shown, shown_bare
from jangteo.api.requests import (
    Malformed,
    Rejected,
    read_body,
    read_ids,
    read_key,
    refuse_query,
    unknown_method,
    unknown_path,
)
from jangteo.api.responses import json_response
from jangteo.api.route import Route
from jangteo.api.router import Router, allowed_methods
from jangteo.api.tokens import NewToken
from jangteo.engine.batch import Submission
from jangteo.engine.caller import Caller
from jangteo.engine.commands import Commands
from jangteo.engine.outcomes import SerializedOutcome
from jangteo.engine.worker_pool import Overloaded

MAX_CALLS: Final = 1_000
BODY_MAX_BYTES: Final = 2 * 2**20
_READS: Final = frozenset({"GET", "HEAD"})
_encode = msgspec.json.Encoder().encode


class BulkCall(Body):
    """One call of a bulk request."""

    call: Annotated[
        str, Meta(description="The method and the path of a POST or PATCH.", examples=["POST /users/1/balance"])
    ]
    key: Annotated[str | None, Meta(description="The Idempotency-Key of this call.")] = None
    body: Annotated[
        Raw | UnsetType, Meta(description="The body of this call; leave it out where the call needs none.")
    ] = UNSET


BulkCalls = Annotated[list[BulkCall], Meta(min_length=1, max_length=MAX_CALLS)]


class BulkAnswer(Struct, rename="camel", omit_defaults=True):
    """What one call of a bulk request would have been answered alone."""

    status: int
    body: Any
    replayed: Annotated[
        bool | UnsetType, Meta(description="`true` if this is the stored answer to an earlier call with the same key.")
    ] = UNSET
    retry_after: Annotated[
        int | UnsetType, Meta(description="The `Retry-After` of this call, in seconds, where it may be retried.")
    ] = UNSET


class BulkRequest(Struct, frozen=True):
    """The calls of one bulk request."""

    calls: Sequence[BulkCall]


def execute_calls(calls: list[BulkCall]) -> BulkRequest:
    """Execute up to 1,000 calls, one after the other, each as if it had come alone."""
    return BulkRequest(calls)


class _Command(NamedTuple):
    route: Route
    submission: Submission


class Bulk:
    """Executes bulk requests."""

    def __init__(self, routes: Sequence[Route], commands: Commands, *, door: Door | None, body_max_bytes: int) -> None:
        """`body_max_bytes` is the largest body of a call that comes alone."""
        self._door = door
        self._router = Router(routes)
        self._without_ids = {
            f"{route.method} {route.path}": route for route in routes if is_command(route) and not route.ids
        }
        self._commands = commands
        self._body_max_bytes = body_max_bytes

    async def respond(
        self, request: BulkRequest, key: str | None, caller: Caller, count: Callable[[], object]
    ) -> Response:
        """Execute the calls in order and answer each. Raises Malformed if the request itself has a key.

        `count` is called for each call but the first, which the request itself was counted for. It raises Rejected.
        """
        if key is not None:
            detail = "A bulk request takes no Idempotency-Key: give each of its calls a `key` of its own"
            raise Malformed("Idempotency-Key", detail)
        parsed = [self._parse(call, caller, count if later else None) for later, call in enumerate(request.calls)]
        # All in one iteration of the event loop: they leave in one frame and share batches.
        accepted = self._commands.submit_all([each.submission for each in parsed if isinstance(each, _Command)])
        await _settle(accepted)
        outcomes = iter(accepted)
        answers = [_answer(each.route, next(outcomes, None)) if isinstance(each, _Command) else each for each in parsed]
        return json_response(200, b"[%b]" % b",".join(answers))

    def _parse(self, call: BulkCall, caller: Caller, count: Callable[[], object] | None) -> _Command | bytes:
        """Return the call's command, or the answer to one that has none."""
        try:
            if count is not None:
                count()
            return self._command_of(call, caller)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this call's, and the others go on
            body = problem_for(error, method="POST", path="/bulk", call=shown_bare(call.call))
            return _problem(body, retry_after=_retry_after(error, body["status"]))

    def _command_of(self, call: BulkCall, caller: Caller) -> _Command:
        raw = b"" if call.body is UNSET else bytes(call.body)
        if len(raw) > self._body_max_bytes:
            detail = f"The body is larger than {self._body_max_bytes:,} bytes"
            raise Malformed("body", detail, problems.BODY_TOO_LARGE)
        route = self._without_ids.get(call.call)
        arguments: list[Any] = []
        if route is None:
            route, arguments = self._find(call.call)
        if self._door is not None:
            self._door.check(caller, route.access)
        key = None if call.key is None else read_key(call.key)
        arguments.append(read_body(route, raw))
        own = as_own(caller, route, arguments)
        command: Any = route.endpoint(*arguments, **own)
        return _Command(route, Submission(command, key if route.takes_key else None, caller.actor))

    def _find(self, call: str) -> tuple[Route, list[Any]]:
        """Find the route of a call, and read the ids in its path. Raises Malformed."""
        method, _, target = call.partition(" ")
        path, _, query = target.partition("?")
        if not path.startswith("/"):
            raise Malformed("call", f"`call` must be a method and a path, as `POST /orders`, not {shown(call)}")
        match = self._router.find(path)
        if match is None:
            raise unknown_path(path)
        if method in _READS and "GET" in match.by_method:
            raise Malformed("call", f"A bulk request executes commands; send {shown(call)} on its own")
        route = match.by_method.get(method)
        if route is None:
            raise unknown_method(allowed_methods(match.by_method))
        if not is_command(route):
            raise Malformed("call", f"A bulk request can't contain {shown(call)}; send it on its own")
        ids: list[Any] = read_ids(route.ids, match.ids)
        if query:
            refuse_query(query.encode())
        return route, ids


def is_command(route: Route) -> bool:
    """Return whether a call of this route may be part of a bulk request."""
    return route.body not in (None, BulkCalls, NewKey, NewToken)


async def _settle(futures: Sequence[asyncio.Future[SerializedOutcome]]) -> None:
    """Wait until all are done. When that is cancelled, those that are not done yet are cancelled."""
    try:
        for future in futures:
            if not future.done():
                # It may have failed, and is done either way. Mostly the others are done with it.
                await asyncio.wait((future,))
    except asyncio.CancelledError:
        for future in futures:
            future.cancel()


def _answer(route: Route, future: asyncio.Future[SerializedOutcome] | None) -> bytes:
    if future is None:
        return _problem(problem_for(Overloaded()), retry_after=problems.RETRY_AFTER_S)
    error = asyncio.CancelledError() if future.cancelled() else future.exception()
    if error is not None:
        body = problem_for(error, method=route.method, path=route.path)
        return _problem(body, retry_after=_retry_after(error, body["status"]))
    outcome = future.result()
    refusal = outcome.refusal()
    if refusal is not None:
        return _problem(problems.problem_of(refusal), replayed=outcome.replayed)
    return _encoded(route.status, outcome.body, replayed=outcome.replayed)


def _retry_after(error: BaseException, status: int) -> int | None:
    """Return the seconds after which the call may be retried, as the header would say them; None if it has none."""
    named = dict(error.headers).get(b"retry-after") if isinstance(error, Rejected) else None
    return int(named) if named else problems.RETRY_AFTER_S if status == HTTPStatus.SERVICE_UNAVAILABLE else None


def _problem(body: dict[str, Any], *, replayed: bool = False, retry_after: int | None = None) -> bytes:
    return _encoded(body["status"], _encode(body), replayed=replayed, retry_after=retry_after)


def _encoded(status: int, body: bytes, *, replayed: bool, retry_after: int | None = None) -> bytes:
    """Make a `BulkAnswer`, around a body that is JSON already."""
    more = b',"replayed":true' if replayed else b""
    if retry_after is not None:
        more += b',"retryAfter":%d' % retry_after
    return b'{"status":%d,"body":%b%b}' % (status, body, more)
