"""A deadline for what waits for the server on a connection of its own, whatever it waits for."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Timer

import psycopg

from jangteo.storage.port import Row


@contextmanager
def ending_within(timeout_s: float, raw: psycopg.Connection[Row]) -> Iterator[None]:
    """Shut the connection down if the block takes longer than `timeout_s`: it then raises psycopg.OperationalError.

    A server that stands still, or a pooler without a free session, answers nothing and reports nothing either.
    """
    with socket.socket(fileno=os.dup(raw.fileno())) as connected:
        timer = Timer(timeout_s, _shut_down, [connected])
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()


def _shut_down(connected: socket.socket) -> None:
    with suppress(OSError):
        connected.shutdown(socket.SHUT_RDWR)
