"""The writer's ends of its clients' connections. Nothing waits for a client: one that stands still holds up no other.

A client has a bounded number of unanswered commands, which bounds what one that reads nothing can leave here.
"""

import socket
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from select import POLLIN, POLLOUT, poll
from time import monotonic
from typing import Final

from jangteo.engine.writer.protocol import Frames

CLOSING_TIMEOUT_S: Final = 12.0
"""How long a writer that is to end still commits for clients that keep their connections open."""
_RECEIVE_BYTES: Final = 2**20


class Channel:
    """One client's connection."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(0)
        self.connection = connection
        self.watches = False
        """Whether the client wants to know of every batch that wrote events."""
        self.unsent = b""
        self._frames = Frames()

    def receive(self) -> list[bytes] | None:
        """Return the frames that have arrived whole; None if the client has gone."""
        try:
            data = self.connection.recv(_RECEIVE_BYTES)
        except BlockingIOError:
            return []
        except OSError:
            return None
        return list(self._frames.receive(data)) if data else None

    def send(self, data: bytes) -> None:
        """Send what can be sent now. The rest is `unsent`, for the next call; nothing is if the client has gone."""
        self.unsent += data
        try:
            self.unsent = self.unsent[self.connection.send(self.unsent) :]
        except BlockingIOError:
            return
        except OSError:
            self.unsent = b""


class Channels:
    """The connections of all clients, and the socket where further ones come."""

    def __init__(
        self,
        connections: Iterable[socket.socket],
        *,
        listening: socket.socket | None = None,
        closing: socket.socket | None = None,
    ) -> None:
        """`closing` is readable once no further clients come."""
        self._poll = poll()
        self._channels: dict[int, Channel] = {}
        self._listening = listening
        self._path = None if listening is None else Path(listening.getsockname())
        self._closing = closing
        self._drop_at: float | None = None
        for connection in connections:
            self._add(connection)
        for each in (listening, closing):
            if each is not None:
                each.settimeout(0)
                self._poll.register(each, POLLIN)

    @property
    def are_open(self) -> bool:
        """Whether commands may still come."""
        return bool(self._channels) or self._listening is not None

    @property
    def watching(self) -> list[Channel]:
        """Those who want to know of every batch that wrote events."""
        return [each for each in self._channels.values() if each.watches]

    def receive(self, timeout_s: float | None) -> Iterator[tuple[Channel, bytes]]:
        """Wait until something has arrived, but not beyond the timeout, and yield the frames that have."""
        if self._drop_at is not None:
            left_s = self._drop_at - monotonic()
            if left_s <= 0:
                self._drop_all()
            timeout_s = max(left_s, 0) if timeout_s is None else min(timeout_s, max(left_s, 0))
        for descriptor, event in self._poll.poll(None if timeout_s is None else timeout_s * 1000):
            channel = self._channels.get(descriptor)
            if channel is None:
                self._meet(descriptor)
                continue
            if event & POLLOUT:
                self.send(channel, b"")
            if event & ~POLLOUT:
                frames = channel.receive()
                if frames is None:
                    self._remove(channel)
                    continue
                for frame in frames:
                    yield channel, frame

    def send(self, channel: Channel, data: bytes) -> None:
        """Send without waiting; the client may have gone."""
        waited = bool(channel.unsent)
        channel.send(data)
        waits = bool(channel.unsent)
        if waits != waited and channel.connection.fileno() in self._channels:
            self._poll.modify(channel.connection, POLLIN | POLLOUT if waits else POLLIN)

    def remove_socket(self) -> None:
        """Remove what clients came by, for a supervisor that was killed."""
        if self._path is not None:
            with suppress(OSError):
                self._path.unlink()
                self._path.parent.rmdir()

    def _meet(self, descriptor: int) -> None:
        if self._listening is not None and descriptor == self._listening.fileno():
            with suppress(BlockingIOError):
                self._add(self._listening.accept()[0])
        elif self._closing is not None and descriptor == self._closing.fileno():
            self._poll.unregister(self._closing)
            if self._listening is not None:
                self._poll.unregister(self._listening)
                self._listening = None
            self._drop_at = monotonic() + CLOSING_TIMEOUT_S

    def _add(self, connection: socket.socket) -> None:
        self._channels[connection.fileno()] = Channel(connection)
        self._poll.register(connection, POLLIN)

    def _remove(self, channel: Channel) -> None:
        self._poll.unregister(channel.connection)
        del self._channels[channel.connection.fileno()]
        channel.connection.close()
        channel.unsent = b""

    def _drop_all(self) -> None:
        for channel in list(self._channels.values()):
            self._remove(channel)
        self._drop_at = None
