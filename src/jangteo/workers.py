"""Several front ends that serve one shop on one socket; each has its own writer process."""

import os
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from threading import Thread

from uvicorn.supervisors import Multiprocess

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


def run(settings: Settings, workers: int, listening: socket.socket, may_begin: Callable[[], bool]) -> None:
    """Serve with this many front ends until a signal stops them. Front ends that die are replaced."""
    child_end, parent_end = get_context("spawn").Pipe(duplex=False)
    with child_end, parent_end:
        supervisor = Multiprocess(server.config(Worker(settings, child_end), workers=workers), sockets=[listening])
        if may_begin():
            supervisor.run()
