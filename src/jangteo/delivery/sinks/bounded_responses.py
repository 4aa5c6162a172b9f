"""A connector for the HTTP client whose responses are bounded in bytes, whatever they consist of.

The client bounds each head and stops reading a long body, but an endless answer of informational responses (1xx) it
takes in for as long as the request lasts.
"""

import asyncio
import errno
import os
from typing import Any, Final

import aiohttp

RESPONSE_MAX_BYTES: Final = 2**20
"""The most bytes that are taken in for a request. A long body ends earlier, since the client pauses reading it."""
TOO_LONG: Final = errno.EMSGSIZE
"""The number of the error that ends a request whose response is longer."""


class BoundedConnector(aiohttp.TCPConnector):
    """Cuts a connection that answers one request with more than `RESPONSE_MAX_BYTES`."""

    async def connect(self, *args: Any, **named: Any) -> aiohttp.connector.Connection:
        """Return a connection whose bytes are counted from now on."""
        connection = await super().connect(*args, **named)
        if connection.transport is not None and connection.protocol is not None:
            connection.transport.set_protocol(_Counting(connection.protocol, connection.transport))
        return connection


class _Counting(asyncio.Protocol):
    """Passes everything on to the client's own protocol, until there is too much of it."""

    def __init__(self, protocol: asyncio.Protocol, transport: asyncio.Transport) -> None:
        self._protocol = protocol
        self._transport = transport
        self._left = RESPONSE_MAX_BYTES

    def data_received(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left >= 0:
            self._protocol.data_received(data)
        else:
            self._transport.abort()

    def eof_received(self) -> bool | None:
        return self._protocol.eof_received()

    def pause_writing(self) -> None:
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._protocol.resume_writing()

    def connection_lost(self, error: Exception | None) -> None:
        too_long = OSError(TOO_LONG, os.strerror(TOO_LONG)) if self._left < 0 else None
        self._protocol.connection_lost(too_long or error)
