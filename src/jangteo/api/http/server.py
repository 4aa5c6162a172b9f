"""How HTTP is served: by uvicorn, with bounds on how long a request may take to arrive and how large its head is."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from jangteo.api.http.write_coalescing import CoalescedWrites

GRACE_S: Final = 5
"""So long a closing server waits for the requests that are under way."""
WORKER_ANSWERS_WITHIN_S: Final = 30
"""A worker that is silent for so long is replaced; on a busy machine even starting takes seconds."""
KEPT_ALIVE_S: Final = 60
"""A connection on which nothing is asked for so long is closed."""
ARRIVAL_TIMEOUT_S: Final = 10.0
"""So long a request may take to arrive whole, from its first byte on; and the first one from connecting on."""
HEADERS_MAX_BYTES: Final = 65_536


class BoundedHttp(HttpToolsProtocol):
    """uvicorn's HTTP, but a connection whose request doesn't arrive in bounds is closed."""

    arrival_timeout_s = ARRIVAL_TIMEOUT_S

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """A client has connected: its first request is awaited."""
        super().connection_made(CoalescedWrites(transport, self.loop))
        self._header_bytes = 0
        self._arriving = self._within_headers = True
        self._giving_up: asyncio.TimerHandle | None = None
        self._back_off()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone."""
        self._stop_waiting()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """A request begins."""
        self._arriving = self._within_headers = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Its headers are all there."""
        self._within_headers = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """And so is its body."""
        self._arriving = False
        super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        """Mostly a whole request at once, for which nothing needs to be timed."""
        super().data_received(data)
        if not self._arriving:
            self._stop_waiting()
            return
        if self._within_headers:
            self._header_bytes += len(data)
        if self._header_bytes > HEADERS_MAX_BYTES:
            self.transport.close()
        elif self._giving_up is None:
            self._back_off()

    def _back_off(self) -> None:
        self._giving_up = self.loop.call_later(self.arrival_timeout_s, self.transport.close)

    def _stop_waiting(self) -> None:
        self._header_bytes = 0
        if self._giving_up is not None:
            self._giving_up.cancel()
            self._giving_up = None


def config(application: Callable[..., Any], *, workers: int | None = None) -> uvicorn.Config:
    """The server's settings; nothing of them is looked up in the environment or logged for each request.

    With `workers` the application is what makes it, in each of the processes.
    """
    return uvicorn.Config(
        application,
        loop="uvloop",
        http=BoundedHttp,
        interface="asgi3",
        factory=workers is not None,
        workers=workers,
        timeout_worker_healthcheck=WORKER_ANSWERS_WITHIN_S,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE_S,
        timeout_keep_alive=KEPT_ALIVE_S,
    )
