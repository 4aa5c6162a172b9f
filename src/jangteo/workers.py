"""Several front ends that serve one shop on one socket; each has its own writer process."""

import os
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from threading import Thread

from jangteo import logs
from jangteo.api.http import server
from jangteo.app import Shop
from jangteo.engine import gc_tuning
from jangteo.settings import Settings


@dataclass(frozen=True)
class Worker:
    """The application factory that each front end is started with."""

    settings: Settings
    parent: Connection
    """A pipe from the parent process, which sends nothing; it is closed when the parent ends, however it ends."""

    def __call__(self) -> Shop:
        """Set up the process and build its shop. The process terminates when its parent ends."""
        logs.configure()
        gc_tuning.tune_gc()
        Thread(target=self._end_with_parent, name="end-with-parent", daemon=True).start()
        return Shop(self.settings)

    def _end_with_parent(self) -> None:
        self.parent.poll(None)
        os.kill(os.getpid(), signal.SIGTERM)


def run(settings: Settings, workers: int, listening: socket.socket, should_stop: Callable[[], bool]) -> None:
    """Serve with several processes until SIGINT or SIGTERM. Workers that die are replaced."""
    receiver, sender = get_context("spawn").Pipe(duplex=False)
    with receiver, sender:
        server.supervise(Worker(settings, receiver), workers, listening, should_stop)
