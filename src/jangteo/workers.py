"""Several processes that serve one shop, each with a writer of its own, behind one socket."""

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
    """What each of the processes is handed at its start; called there, it makes the shop."""

    settings: Settings
    parent: Connection
    """Never says anything, and ends when the parent has ended, however that was."""

    def __call__(self) -> Shop:
        """The shop of this process. It doesn't outlive the parent, which alone can be told to close."""
        logs.configure()
        gc_tuning.tune_gc()
        Thread(target=self._end_with_parent, name="end-with-parent", daemon=True).start()
        return Shop(self.settings)

    def _end_with_parent(self) -> None:
        self.parent.poll(None)
        os.kill(os.getpid(), signal.SIGTERM)


def run(settings: Settings, workers: int, listening: socket.socket, may_begin: Callable[[], bool]) -> None:
    """Serve until told to stop. Workers that die are replaced."""
    theirs, ours = get_context("spawn").Pipe(duplex=False)
    with theirs, ours:
        supervisor = Multiprocess(server.config(Worker(settings, theirs), workers=workers), sockets=[listening])
        if may_begin():
            supervisor.run()
