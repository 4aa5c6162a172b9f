"""Serving with uvicorn: its server and its event loop, with connections of our own.

This is the only file that depends on uvicorn's internals. pyproject.toml says which versions it is tested with;
tests/architecture/test_library_internals.py checks what is used.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

import uvicorn

from jangteo.api.http.bounds import capacity
from jangteo.api.http.connection import Application, HttpConnection
from jangteo.api.http.connections import Connections
from jangteo.api.http.tls import HANDSHAKE_TIMEOUT_S, Tls

SHUTDOWN_TIMEOUT_S: Final = 5
"""How long a closing server waits for the requests it is answering."""


class ServedApplication(Application, Protocol):
    """An application that uvicorn opens and closes, by ASGI's lifespan."""

    def __call__(self, scope: Any, receive: Any, send: Any, /) -> Awaitable[None]:
        """Handle the server's start and shutdown."""


class ConnectionFactory:
    """Makes the connections of one process, for uvicorn."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._connections: Connections | None = None

    def __call__(self, config: uvicorn.Config, server_state: Any, **_: Any) -> HttpConnection:
        """Make a connection. uvicorn has loaded the application by now."""
        loop = asyncio.get_running_loop()
        application: ServedApplication = config.loaded_app
        if self._connections is None:
            self._connections = Connections(loop, application.bounds, self._most)
        return HttpConnection(application, self._connections, server_state, loop)


class _Server(uvicorn.Server):
    """uvicorn's server, where a TLS handshake has its timeout."""

    def __init__(self, config: uvicorn.Config, tls: Tls | None) -> None:
        super().__init__(config)
        self._tls = tls

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the application and listen."""
        if self._tls is None:
            await super().startup(sockets)
            return
        await super().startup([])
        for each in sockets or ():
            self.servers.append(await self._listen(each, self._tls))

    async def _listen(self, listening: socket.socket, tls: Tls) -> asyncio.base_events.Server:
        def make() -> asyncio.Protocol:
            return self.config.http_protocol_class(config=self.config, server_state=self.server_state)  # type: ignore[call-arg]  # a factory

        return await asyncio.get_running_loop().create_server(
            make,
            sock=listening,
            ssl=tls.context,
            ssl_handshake_timeout=HANDSHAKE_TIMEOUT_S,
            backlog=self.config.backlog,
        )


def serve(make: Callable[[], ServedApplication], listening: socket.socket, tls: Tls | None = None) -> None:
    """Serve an application in this process until SIGINT, or until SIGTERM and the drain.

    `make` is called once uvicorn has taken over the signal handlers and the event loop runs: it makes the `Shutdown`.
    """
    _Server(config(make, is_factory=True), tls).run(sockets=[listening])


def config(application: Callable[..., Any], *, is_factory: bool = False) -> uvicorn.Config:
    """Return uvicorn's settings: nothing comes from the environment, and requests are not logged.

    The limit of this process's descriptors is raised, if it may be, and decides how many connections there may be.

    A factory is called once the signal handlers are set and the event loop runs.
    """
    most = capacity()
    return uvicorn.Config(
        application,
        loop="uvloop",
        http=ConnectionFactory(most.connections),  # type: ignore[arg-type]  # uvicorn calls it as it would a class
        backlog=most.backlog,
        interface="asgi3",
        factory=is_factory,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=SHUTDOWN_TIMEOUT_S,
    )
