"""The composition root of the writer process: `python -m jangteo.engine.writer DESCRIPTOR BATCH_MAX`.

The serving process starts it, with the database's URL in JANGTEO_DATABASE. It is not meant to be started by hand.
"""

import os
import signal
import socket
import sys
from datetime import UTC, datetime

from jangteo import logs
from jangteo.engine import gc_tuning
from jangteo.engine.writer.loop import commit_until_closed
from jangteo.settings import DATABASE_VARIABLE
from jangteo.storage.urls import open_storage


def main() -> None:
    """Commit batches until the serving process closes its end of the socket."""
    for stop_signal in (signal.SIGINT, signal.SIGTERM):
        # The serving process handles them; this process ends when its socket is closed.
        signal.signal(stop_signal, signal.SIG_IGN)
    descriptor, batch_max = (int(argument) for argument in sys.argv[1:])
    logs.configure()
    connection = open_storage(os.environ[DATABASE_VARIABLE]).connect()
    gc_tuning.tune_gc()
    with socket.socket(fileno=descriptor) as channel:
        commit_until_closed(channel, connection, lambda: datetime.now(UTC), batch_max)


if __name__ == "__main__":
    main()
