"""Several front ends for one shop behind one socket: processes that serve HTTP, each with a writer of its own."""

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
    """The factory that each worker process calls at its start to make its shop."""

    settings: Settings
    parent: Connection
    """Carries no messages; it is closed when the parent process ends, however that happens."""

    def __call__(self) -> Shop:
        """Make this process's shop. The process ends with its parent, the only one that operators signal."""
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
