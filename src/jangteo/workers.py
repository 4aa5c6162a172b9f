"""Several front ends that serve one shop on one socket; each has its own writer process."""

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from threading import Thread

from jangteo import logs
from jangteo.api.drain import Drain
from jangteo.api.http import server
from jangteo.api.http.shutdown import Shutdown
from jangteo.app import Shop
from jangteo.engine import gc_tuning
from jangteo.settings import Settings


@dataclass(frozen=True)
class Worker:
    """The application factory that each front end is started with.

    The parent process sends nothing through these pipes. Closing one is heard by every worker, also by one that is just
    starting, and both are closed when the parent ends, however it ends.
    """

    settings: Settings
    drains: Connection
    """Closed when the drain begins."""
    ends: Connection
    """Closed when the workers are to end."""

    def __call__(self) -> Shop:
        """Set up the process and build its shop. The process ends when its parent does."""
        logs.configure()
        gc_tuning.tune_gc()
        shop = Shop(self.settings)
        shutdown = Shutdown(shop.drain, supervised=True)
        _when_closed(self.drains, shutdown.begin)
        _when_closed(self.ends, shutdown.end)
        return shop


def run(settings: Settings, workers: int, listening: socket.socket, received: Callable[[], Sequence[int]]) -> None:
    """Serve with several processes until SIGINT, or until SIGTERM and the drain. Workers that die are replaced."""
    context = get_context("spawn")
    drains, drain = context.Pipe(duplex=False)
    ends, end = context.Pipe(duplex=False)
    with drains, drain, ends, end:
        worker = Worker(settings, drains, ends)
        server.supervise(
            worker, workers, listening, received, drain=Drain(settings.drain_s), begin_drain=drain.close, end=end.close
        )


def _when_closed(pipe: Connection, call: Callable[[], None]) -> None:
    def wait() -> None:
        pipe.poll(None)
        call()

    Thread(target=wait, name=call.__name__, daemon=True).start()
