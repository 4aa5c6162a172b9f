"""Serving HTTP with uvicorn, and the only file that depends on uvicorn's internals.

`BoundedHttp` limits how long a request may take to arrive and how large its headers may be. pyproject.toml says which
versions of uvicorn this is tested with; tests/architecture/test_library_internals.py checks the methods used here.
"""

import asyncio
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Protocol

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.supervisors import Multiprocess

from jangteo.api.drain import Drain
from jangteo.api.http.shutdown import Shutdown
from jangteo.api.http.write_coalescing import CoalescedWrites

SHUTDOWN_TIMEOUT_S: Final = 5
"""How long a closing server waits for the requests it is answering."""
WORKER_HEALTH_TIMEOUT_S: Final = 30
"""A worker that does not answer health checks for this long is replaced. On a busy machine a start takes seconds."""
KEEP_ALIVE_TIMEOUT_S: Final = 60
"""An idle connection is closed after this long."""
ARRIVAL_TIMEOUT_S: Final = 10.0
"""How long a request may take to arrive, from its first byte; the first one of a connection, from connecting."""
HEADERS_MAX_BYTES: Final = 65_536


class BoundedHttp(HttpToolsProtocol):
    """uvicorn's HTTP protocol, but closes a connection whose request arrives too slowly or has too large headers."""

    arrival_timeout_s = ARRIVAL_TIMEOUT_S

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Start the timeout of the first request."""
        super().connection_made(CoalescedWrites(transport, self.loop))
        self._header_bytes = 0
        self._is_arriving = self._in_headers = True
        self._timeout: asyncio.TimerHandle | None = None
        self._start_timeout()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the timeout."""
        self._cancel_timeout()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Note that a request has begun."""
        self._is_arriving = self._in_headers = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Note that the headers are complete."""
        self._in_headers = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Note that the body is complete."""
        self._is_arriving = False
        super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        """Parse the data and enforce the bounds. Most requests arrive in one piece and never start a timeout."""
        super().data_received(data)
        if not self._is_arriving:
            self._cancel_timeout()
            return
        if self._in_headers:
            self._header_bytes += len(data)
        if self._header_bytes > HEADERS_MAX_BYTES:
            self.transport.close()
        elif self._timeout is None:
            self._start_timeout()

    def _start_timeout(self) -> None:
        self._timeout = self.loop.call_later(self.arrival_timeout_s, self.transport.close)

    def _cancel_timeout(self) -> None:
        self._header_bytes = 0
        if self._timeout is not None:
            self._timeout.cancel()
            self._timeout = None


class Application(Protocol):
    """An ASGI application that can drain."""

    drain: Drain

    def __call__(self, scope: Any, receive: Any, send: Any, /) -> Awaitable[None]:
        """Handle one request, or the server's start and shutdown."""


def serve(application: Application, listening: socket.socket, received: Callable[[], Sequence[int]]) -> None:
    """Serve an ASGI application in this process until SIGINT, or until SIGTERM and the drain.

    `received` is called once: the signals that arrived before uvicorn took over the signal handlers are only known to
    the caller.
    """

    def make() -> Application:
        Shutdown(application.drain)
        _raise_again(received())
        return application

    uvicorn.Server(config(make, is_factory=True)).run(sockets=[listening])


def supervise(
    factory: Callable[[], Application],
    workers: int,
    listening: socket.socket,
    received: Callable[[], Sequence[int]],
    *,
    drain: Drain,
    begin_drain: Callable[[], None],
    end: Callable[[], None],
) -> None:
    """Serve with several worker processes until SIGINT, or until SIGTERM and the drain. Replace the workers that die.

    `factory` is pickled to each worker and makes its application there, with a supervised `Shutdown`. `begin_drain` and
    `end` have every worker's called. `received` is as for `serve`.
    """
    # The supervisor takes over the signal handlers when it is made, so `received` is called afterwards.
    supervisor = _Supervisor(config(factory, is_factory=True, workers=workers), listening, drain, begin_drain, end)
    _raise_again(received())
    supervisor.handle_signals()
    if not supervisor.should_exit.is_set():
        supervisor.run()


def _raise_again(signal_numbers: Sequence[int]) -> None:
    for each in signal_numbers:
        signal.raise_signal(each)


def config(application: Callable[..., Any], *, is_factory: bool = False, workers: int | None = None) -> uvicorn.Config:
    """Return uvicorn's settings: nothing comes from the environment, and requests are not logged.

    A factory is called in each process that serves, once its signal handlers are set and its event loop runs.
    """
    return uvicorn.Config(
        application,
        loop="uvloop",
        http=BoundedHttp,
        interface="asgi3",
        factory=is_factory,
        workers=workers,
        timeout_worker_healthcheck=WORKER_HEALTH_TIMEOUT_S,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=SHUTDOWN_TIMEOUT_S,
        timeout_keep_alive=KEEP_ALIVE_TIMEOUT_S,
    )


class _Supervisor(Multiprocess):
    """Has the workers drain before it ends them, and replaces none of them meanwhile."""

    def __init__(
        self,
        config: uvicorn.Config,
        listening: socket.socket,
        drain: Drain,
        begin_drain: Callable[[], None],
        end: Callable[[], None],
    ) -> None:
        super().__init__(config, sockets=[listening])
        self._drain = drain
        self._begin_drain = begin_drain
        self._end = end
        self._drained_at = 0.0

    def handle_term(self) -> None:
        """Begin the drain. Without one, or at another SIGTERM, end."""
        if self._drain.has_begun or not self._drain.seconds:
            super().handle_term()
            return
        self._drain.has_begun = True
        self._drained_at = time.monotonic() + self._drain.seconds
        self._begin_drain()

    def keep_subprocess_alive(self) -> None:
        """Replace the workers that have died or hang; during the drain only wait for its end."""
        if not self._drain.has_begun:
            super().keep_subprocess_alive()
        elif time.monotonic() >= self._drained_at or not any(each.process.is_alive() for each in self.processes):
            self.should_exit.set()

    def terminate_all(self) -> None:
        """End the workers, whether they drain or not."""
        self._end()
        super().terminate_all()
