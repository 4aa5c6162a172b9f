"""A proxy in front of a PostgreSQL server that cuts a connection at a chosen byte of its stream, or drops all data from
then on, as a broken network does.
"""

from __future__ import annotations

import socket
import threading
from typing import Literal

Direction = Literal["to the server", "to the client"]


class CuttingProxy:
    """Forwards all data until a cut is requested.

    Then it counts the messages of one direction; a message is all data that a side sends until the other one replies.
    Of the first data of the chosen message it forwards only a share, and closes the connection.
    """

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._cut: tuple[Direction, int, float] | None = None
        self._last_direction: Direction | None = None
        self.has_cut = threading.Event()
        self._drops_data = False
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, direction: Direction, message: int, share: float) -> None:
        """Cut within this message of the direction, counted from 1 beginning now, after this share of its bytes."""
        self.has_cut.clear()
        self._cut = (direction, message, share)

    def drop_data(self) -> None:
        """From now on forward nothing in either direction, and leave the connections open."""
        self._drops_data = True

    def close(self) -> None:
        """Accept no more connections; open ones stay."""
        _end(self._listening)
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._server_port))
            for direction, source, target in (("to the server", client, server), ("to the client", server, client)):
                threading.Thread(target=self._forward, args=(direction, source, target), daemon=True).start()

    def _forward(self, direction: Direction, source: socket.socket, target: socket.socket) -> None:
        with source, target:
            try:
                while data := source.recv(65_536):
                    if self._drops_data:
                        continue
                    share = self._share_of(direction)
                    target.sendall(data[: int(len(data) * share)])
                    if share < 1:
                        self.has_cut.set()
                        return
            except OSError:
                return
            finally:
                for each in (source, target):
                    _end(each)

    def _share_of(self, direction: Direction) -> float:
        same_message, self._last_direction = self._last_direction == direction, direction
        if same_message or self._cut is None or self._cut[0] != direction:
            return 1.0
        _, message, share = self._cut
        if message > 1:
            self._cut = (direction, message - 1, share)
            return 1.0
        self._cut = None
        return share


def _end(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        # The thread of the other direction has already ended it.
        return
