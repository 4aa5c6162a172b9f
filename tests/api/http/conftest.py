"""A server with an application of the test's own."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
import uvicorn

from jangteo.api.http.bounds import Bounds
from jangteo.api.http.server import ConnectionFactory, config
from tests.connections import Application, Serve, Served


@pytest.fixture
def serve() -> Iterator[Serve]:
    servers: list[tuple[uvicorn.Server, threading.Thread, Application]] = []

    def start(most: int | None = None, **bounds: float) -> Served:
        application = Application(replace(Bounds(), **bounds))  # type: ignore[arg-type]  # keyword arguments by name
        listening = socket.create_server(("127.0.0.1", 0))
        settings = config(application)
        if most is not None:
            settings.http = ConnectionFactory(most)  # type: ignore[assignment]  # as `config` does
        server = uvicorn.Server(settings)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        assert application.opened.wait(30)
        servers.append((server, thread, application))
        return Served(application, listening.getsockname()[1])

    yield start
    for server, thread, application in servers:
        application.allow_slow()
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()
