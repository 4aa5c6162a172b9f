"""A writer that several processes of a host share: another process starts it, and replaces it when it dies."""

import asyncio
import socket
from pathlib import Path

from jangteo.engine.deadlines import DEFAULT_TIMEOUTS, Timeouts
from jangteo.engine.writer.client import WriterClient
from jangteo.engine.writer.protocol import watch_frame


class SharedWriter(WriterClient):
    """The writer that takes connections at a socket of the file system.

    The socket outlives the writer: while one is being replaced, commands wait for the next.
    """

    def __init__(
        self, path: Path, *, queue_max: int, watches: bool = False, timeouts: Timeouts = DEFAULT_TIMEOUTS
    ) -> None:
        """`watches`: to be notified of every batch that wrote events, whichever process sent the commands."""
        super().__init__(queue_max=queue_max, timeouts=timeouts)
        self._path = path
        self._watches = watches

    def _open(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.settimeout(0)
            connection.connect(str(self._path))
        except OSError:
            connection.close()
            raise
        return connection

    def _greet(self, transport: asyncio.Transport) -> None:
        if self._watches:
            transport.write(watch_frame())

    def _end(self, timeout_s: float) -> bool:  # noqa: ARG002 - the client's own signature
        return True
