"""What signals do to a server: SIGTERM begins the drain, and the drain's end is the server's."""

import asyncio
import os
import signal
from types import FrameType
from typing import Any

import structlog

from jangteo.api.drain import Drain

log = structlog.get_logger()


class Shutdown:
    """What SIGTERM does: it begins the drain, whose end is the end of the server. Another SIGTERM ends it at once.

    A supervised worker ignores other SIGTERMs: some come to every process of a service, and its supervisor decides.
    SIGINT is left to uvicorn, and ends the server at once.
    """

    def __init__(self, drain: Drain, *, supervised: bool = False) -> None:
        """Take SIGTERM from uvicorn. It has its handlers, and its event loop runs, when it makes the application."""
        self._drain = drain
        self._supervised = supervised
        self._is_ending = drain.seconds == 0
        self._loop = asyncio.get_running_loop()
        self._exit: Any = signal.signal(signal.SIGTERM, self._receive)

    def begin(self) -> None:
        """Begin the drain, from any thread. Without one the server ends."""
        os.kill(os.getpid(), signal.SIGTERM)

    def end(self) -> None:
        """End the server, from any thread: everything accepted is committed and answered."""
        self._is_ending = True
        os.kill(os.getpid(), signal.SIGTERM)

    def _receive(self, signal_number: int, frame: FrameType | None) -> None:
        if self._is_ending:
            self._exit(signal_number, frame)
        elif not self._drain.has_begun:
            self._drain.has_begun = True
            # A signal handler interrupts anything, so the rest is left to the event loop.
            self._loop.call_soon_threadsafe(self._start_drain)
        elif not self._supervised:
            self._exit(signal_number, frame)

    def _start_drain(self) -> None:
        log.info("draining", seconds=self._drain.seconds)
        self._loop.call_later(self._drain.seconds, self.end)
