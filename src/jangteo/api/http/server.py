"""Serving with uvicorn: its server, its event loop and its supervisor, with connections of our own.

This is the only file that depends on uvicorn's internals. pyproject.toml says which versions it is tested with;
tests/architecture/test_library_internals.py checks what is used.
"""

import asyncio
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Protocol

import uvicorn
from uvicorn.supervisors import Multiprocess

from jangteo.api.drain import Drain
from jangteo.api.http.bounds import capacity
from jangteo.api.http.connection import Application, HttpConnection
from jangteo.api.http.connections import Connections
from jangteo.api.http.shutdown import Shutdown

SHUTDOWN_TIMEOUT_S: Final = 5
"""How long a closing server waits for the requests it is answering."""
WORKER_HEALTH_TIMEOUT_S: Final = 30
"""A worker that does not answer health checks for this long is replaced. On a busy machine a start takes seconds."""


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


def serve(application: ServedApplication, listening: socket.socket, received: Callable[[], Sequence[int]]) -> None:
    """Serve an application in this process until SIGINT, or until SIGTERM and the drain.

    `received` is called once: the signals that arrived before uvicorn took over the signal handlers are only known to
    the caller.
    """

    def make() -> ServedApplication:
        Shutdown(application.drain)
        _raise_again(received())
        return application

    uvicorn.Server(config(make, is_factory=True)).run(sockets=[listening])


def supervise(
    factory: Callable[[], ServedApplication],
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

    The limit of this process's descriptors is raised, if it may be, and decides how many connections there may be.

    A factory is called in each process that serves, once its signal handlers are set and its event loop runs.
    """
    most = capacity()
    return uvicorn.Config(
        application,
        loop="uvloop",
        http=ConnectionFactory(most.connections),  # type: ignore[arg-type]  # uvicorn calls it as it would a class
        backlog=most.backlog,
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
