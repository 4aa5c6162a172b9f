"""One connection of a client: requests are answered one after the other, in the order in which they came."""

import asyncio
from collections.abc import Coroutine
from http import HTTPStatus
from typing import Any, Final, Protocol

from jangteo.api import problems
from jangteo.api.drain import Drain
from jangteo.api.http.bounds import Bounds
from jangteo.api.http.connections import Connections, State
from jangteo.api.http.messages import Request, Response
from jangteo.api.http.parsing import Refused, RequestParser
from jangteo.api.responses import problem_response

_STATUS_LINES: Final = {each.value: b"HTTP/1.1 %d %b\r\n" % (each, each.phrase.encode()) for each in HTTPStatus}
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_CLOSE: Final = b"connection: close\r\n"


class Server(Protocol):
    """What uvicorn's server knows of its connections."""

    connections: set[Any]
    """It calls `shutdown` of each when it ends, and waits until all are gone."""
    tasks: set[asyncio.Task[None]]
    """It waits for these when it ends, and cancels those that take too long."""
    default_headers: list[tuple[bytes, bytes]]
    """The date; renewed each second."""


class Application(Protocol):
    """What answers requests."""

    drain: Drain
    bounds: Bounds

    def respond(self, request: Request) -> Coroutine[Any, Any, Response]:
        """Answer one request. Never raises; when it is cancelled, it answers too."""


class HttpConnection(asyncio.Protocol):
    """A connection, from accepting it to its end.

    While a request is being answered, what follows it waits: parsed, in `_parser`, or in the socket. So a client that
    sends without reading fills no memory.
    """

    _transport: asyncio.Transport

    def __init__(
        self,
        application: Application,
        connections: Connections,
        server: Server,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._application = application
        self._connections = connections
        self._server = server
        self._loop = loop
        self._parser = RequestParser(application.bounds, connections.allowance)
        self._state: State | None = None
        self._answering: asyncio.Task[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._unsent_bytes = 0
        self._is_reading = True
        self._is_last = False
        """Whether the answer to the present request is the last one."""
        self._has_ended = False
        """Whether the last answer was sent, so that whatever comes is dropped."""
        self._client_has_ended = False

    # asyncio calls these.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # TCP's is one
        """Begin to wait for the first request."""
        self._transport = transport
        self._parser.peer = _address_of(transport.get_extra_info("peername"))
        self._server.connections.add(self)
        if self._connections.admit(self):
            self._enter(self._connections.arriving)
        else:
            self._refuse(Refused(problems.OVERLOADED, "This server has as many connections as it can; retry later"))

    def connection_lost(self, _: Exception | None) -> None:
        """Drop what was not begun yet. What was, goes on to its end."""
        self._server.connections.discard(self)
        self._connections.remove(self)
        self._enter(None)
        self._has_ended = True
        self._parser.close()
        self._resume_answering()

    def data_received(self, data: bytes) -> None:
        """Parse what has come, and answer it if nothing else is being answered."""
        if self._has_ended:
            return
        self._parser.feed(data)
        self._proceed()

    def eof_received(self) -> bool:
        """Answer what is complete, then close: a client may end its side as soon as it has asked."""
        self._client_has_ended = True
        return self._answering is not None

    def pause_writing(self) -> None:
        """Answer nothing more until the client has read."""
        self._writable = self._loop.create_future()
        self._unsent_bytes = self._transport.get_write_buffer_size()
        if not self._has_ended:
            self._enter(self._connections.sending)

    def resume_writing(self) -> None:
        """Go on answering."""
        if not self._has_ended:
            self._enter(None)
        self._resume_answering()

    # uvicorn calls this.

    def shutdown(self) -> None:
        """End the connection: at once if it is idle, otherwise after an answer."""
        if self._answering is not None:
            self._is_last = True
        elif self._parser.is_arriving and not self._has_ended:
            self._refuse(Refused(problems.OVERLOADED))
        elif self._state is not self._connections.closing:
            self._transport.close()

    # The registry of connections calls these.

    def expire(self, state: State) -> None:
        """Act on having been in a state for as long as it may last."""
        if state is self._connections.arriving and self._parser.is_arriving:
            self._refuse(Refused(problems.REQUEST_TIMEOUT))
        elif not self._transport.get_write_buffer_size():
            self._transport.close()
        elif self._has_sent():
            self._enter(state)
        else:
            self.abort()

    def abort(self) -> None:
        """Close at once, whatever was not sent yet."""
        self._has_ended = True
        self._enter(None)
        self._transport.abort()

    # Its own.

    def _enter(self, state: State | None) -> None:
        if self._state is not None:
            self._state.remove(self)
        self._state = state
        if state is not None:
            state.add(self)

    def _proceed(self) -> None:
        """Begin what can be done next, unless something is being done."""
        if self._answering is not None:
            self._read(while_=not self._parser.requests and not self._parser.has_unparsed)
        elif self._parser.requests:
            self._enter(None)
            self._answering = self._loop.create_task(self._answer())
            self._server.tasks.add(self._answering)
            self._answering.add_done_callback(self._server.tasks.discard)
        elif self._parser.refused is not None:
            self._refuse(self._parser.refused)
        elif self._parser.is_arriving:
            if self._state is not self._connections.arriving:
                self._enter(self._connections.arriving)
            if self._parser.expects_continue:
                self._parser.expects_continue = False
                self._transport.write(_CONTINUE)

    def _read(self, *, while_: bool) -> None:
        if while_ != self._is_reading and not self._client_has_ended and not self._transport.is_closing():
            self._is_reading = while_
            if while_:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()

    async def _answer(self) -> None:
        """Answer requests as long as there are any."""
        while self._parser.requests and not self._has_ended:
            request = self._parser.requests.popleft()
            response = await self._application.respond(request)
            self._send(request, response)
            self._parser.release(request)
            self._parser.parse()
            if self._writable is not None:
                await self._writable
        self._answering = None
        if not self._has_ended:
            self._wait_for_more()

    def _send(self, request: Request, response: Response) -> None:
        if self._has_ended:
            return
        is_last = self._is_last or not request.keep_alive or self._application.drain.has_begun
        self._transport.write(self._encode(response, is_last=is_last, has_body=request.method != "HEAD"))
        if is_last:
            self._end()

    def _encode(self, response: Response, *, is_last: bool, has_body: bool) -> bytes:
        parts = [_STATUS_LINES[response.status]]
        parts.extend(b"%b: %b\r\n" % header for header in self._server.default_headers)
        parts.extend(b"%b: %b\r\n" % header for header in response.headers)
        if is_last:
            parts.append(_CLOSE)
        parts.append(b"\r\n")
        if has_body:
            parts.append(response.body)
        return b"".join(parts)

    def _wait_for_more(self) -> None:
        if self._client_has_ended and self._parser.refused is None:
            self._transport.close()
            return
        self._read(while_=True)
        self._enter(self._connections.idle)
        self._proceed()

    def _refuse(self, refused: Refused) -> None:
        facts = {} if refused.field is None else {"field": refused.field}
        response = problem_response(problems.problem(refused.kind, refused.detail, **facts))
        self._transport.write(self._encode(response, is_last=True, has_body=self._parser.method != "HEAD"))
        self._end()

    def _end(self) -> None:
        """Say that nothing more is sent, and drop what still comes.

        Closing a socket that has unread bytes resets the connection, and the client may lose the answer by it.
        """
        self._has_ended = True
        self._unsent_bytes = self._transport.get_write_buffer_size()
        self._read(while_=True)
        self._enter(self._connections.sending if self._unsent_bytes else self._connections.closing)
        if self._client_has_ended or not self._transport.can_write_eof():
            self._transport.close()
        else:
            self._transport.write_eof()

    def _has_sent(self) -> bool:
        """Return whether the client has read something since this was asked last."""
        before, self._unsent_bytes = self._unsent_bytes, self._transport.get_write_buffer_size()
        return self._unsent_bytes < before

    def _resume_answering(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None


def _address_of(peer: object) -> str:
    """Return the address of a socket's other end; empty where it has none, as on a Unix socket."""
    return str(peer[0]) if isinstance(peer, tuple) and peer else ""
