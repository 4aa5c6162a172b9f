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


def serve(make: Callable[[], ServedApplication], listening: socket.socket) -> None:
    """Serve an application in this process until SIGINT, or until SIGTERM and the drain.

    `make` is called once uvicorn has taken over the signal handlers and the event loop runs: it makes the `Shutdown`.
    """
    uvicorn.Server(config(make, is_factory=True)).run(sockets=[listening])


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
