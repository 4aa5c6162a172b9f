"""An application of a test's own behind a port, and what a client does to it by a raw socket."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from jangteo.api.drain import Drain
from jangteo.api.http.bounds import Bounds
from jangteo.api.http.messages import Request, Response

LARGE_BYTES = 8_000_000
"""How much is answered to /large."""


class Application:
    """Answers with the request's path and body. Requests of /slow wait until the test allows them."""

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.drain = Drain(0)
        self.opened = threading.Event()
        self.asked: list[str] = []
        self.slow_asked = threading.Semaphore(0)
        self._slow_allowed = asyncio.Event()

    async def __call__(self, _: object, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Any]) -> None:
        self._loop = asyncio.get_running_loop()
        await receive()
        await send({"type": "lifespan.startup.complete"})
        self.opened.set()
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    async def respond(self, request: Request) -> Response:
        self.asked.append(request.path)
        if request.path == "/slow":
            self.slow_asked.release()
            await self._slow_allowed.wait()
        body = b"x" * LARGE_BYTES if request.path == "/large" else request.path.encode() + b" " + request.body
        return Response(200, [(b"content-length", b"%d" % len(body))], body)

    def allow_slow(self) -> None:
        self._loop.call_soon_threadsafe(self._slow_allowed.set)


class Served:
    """The application behind a port."""

    def __init__(self, application: Application, port: int) -> None:
        self.application = application
        self.port = port

    @contextmanager
    def connect(self) -> Iterator[socket.socket]:
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as client:
            yield client

    def exchange(self, *pieces: bytes) -> bytes:
        """Send pieces, and return all that comes until the server closes the connection."""
        with self.connect() as client:
            for piece in pieces:
                client.sendall(piece)
            return received(client)


Serve = Callable[..., Served]
"""Serves the application, with the bounds that are named, and with as few connections as `most` says."""


def received(client: socket.socket) -> bytes:
    """All that comes until the server closes the connection. A reset is a failure."""
    data = b""
    while more := client.recv(1_000_000):
        data += more
    return data


def receive(client: socket.socket, end: bytes) -> bytes:
    data = b""
    while not data.endswith(end):
        more = client.recv(65_536)
        assert more, data
        data += more
    return data


def send_until_cut_off(client: socket.socket, data: bytes) -> None:
    """Send without end, until the server resets the connection."""
    with suppress(ConnectionError):
        while True:
            client.sendall(data)


def problem(answer: bytes) -> dict[str, Any]:
    """The problem at the end of what a connection got."""
    head, _, body = answer.rpartition(b"\r\n\r\n")
    assert b"connection: close" in head.lower()
    found: dict[str, Any] = json.loads(body)
    assert head.rpartition(b"HTTP/1.1 ")[2].startswith(b"%d " % found["status"])
    return found
