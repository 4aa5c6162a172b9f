"""A proxy before a PostgreSQL server that cuts connections at a chosen place of their stream, or swallows all that is
said from a chosen moment on, as a network does that is cut itself.
"""

from __future__ import annotations

import socket
import threading
from typing import Literal

Direction = Literal["to the server", "to the client"]


class CuttingProxy:
    """Passes everything on, until it is told to cut: then the turns of one side are counted, and what is said first in
    the chosen one is passed on only up to a share of its bytes.
    """

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._cut: tuple[Direction, int, float] | None = None
        self._speaking: Direction | None = None
        self.has_cut = threading.Event()
        self._swallows = False
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, direction: Direction, turn: int, share: float) -> None:
        """Cut at this turn of the side that speaks in this direction, counted from 1 and from now on."""
        self.has_cut.clear()
        self._cut = (direction, turn, share)

    def swallow(self) -> None:
        """From now on nothing gets through, in neither direction, and nobody is told."""
        self._swallows = True

    def close(self) -> None:
        """Take no more connections; those that are there stay."""
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
                threading.Thread(target=self._pass_on, args=(direction, source, target), daemon=True).start()

    def _pass_on(self, direction: Direction, source: socket.socket, target: socket.socket) -> None:
        with source, target:
            try:
                while data := source.recv(65_536):
                    if self._swallows:
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
        goes_on, self._speaking = self._speaking == direction, direction
        if goes_on or self._cut is None or self._cut[0] != direction:
            return 1.0
        _, turn, share = self._cut
        if turn > 1:
            self._cut = (direction, turn - 1, share)
            return 1.0
        self._cut = None
        return share


def _end(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        # The other direction was first.
        return
