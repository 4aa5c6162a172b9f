"""Serving HTTP with uvicorn, and the only file that depends on uvicorn's internals.

`BoundedHttp` limits how long a request may take to arrive and how large its headers may be. pyproject.toml says which
versions of uvicorn this is tested with; tests/architecture/test_library_internals.py checks the methods used here.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.supervisors import Multiprocess

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


def serve(application: Callable[..., Any], listening: socket.socket, should_stop: Callable[[], bool]) -> None:
    """Serve an ASGI application in this process until SIGINT or SIGTERM.

    `should_stop` is called once, when the application has started: a signal that arrived before uvicorn took over the
    signal handlers is only known to the caller.
    """
    _Server(config(application), should_stop).run(sockets=[listening])


def supervise(
    factory: Callable[[], Any], workers: int, listening: socket.socket, should_stop: Callable[[], bool]
) -> None:
    """Serve with several worker processes until SIGINT or SIGTERM, and replace the workers that die.

    `factory` is pickled to each worker and makes its ASGI application there. `should_stop` is as for `serve`.
    """
    # The supervisor takes over the signal handlers when it is made, so `should_stop` is called afterwards.
    supervisor = Multiprocess(config(factory, workers=workers), sockets=[listening])
    if not should_stop():
        supervisor.run()


def config(application: Callable[..., Any], *, workers: int | None = None) -> uvicorn.Config:
    """Return uvicorn's settings: nothing comes from the environment, and requests are not logged.

    With `workers`, `application` is a factory that each worker process calls.
    """
    return uvicorn.Config(
        application,
        loop="uvloop",
        http=BoundedHttp,
        interface="asgi3",
        factory=workers is not None,
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


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, should_stop: Callable[[], bool]) -> None:
        super().__init__(config)
        self._should_stop = should_stop

    async def main_loop(self) -> None:
        """Serve, unless the server was told to stop while the application started."""
        self.should_exit = self.should_exit or self._should_stop()
        await super().main_loop()
