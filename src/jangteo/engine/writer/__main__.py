"""The composition root of the writer process: `python -m jangteo.engine.writer ARGUMENTS`, see `main`.

The serving process starts it, with the database's URL in JANGTEO_DATABASE. It is not meant to be started by hand.
"""

import os
import signal
import socket
import sys
from datetime import UTC, datetime

from jangteo import logs
from jangteo.engine import gc_tuning
from jangteo.engine.deadlines import Timeouts
from jangteo.engine.writer.loop import commit_until_closed
from jangteo.settings import DATABASE_VARIABLE
from jangteo.storage.urls import storage_of


def main() -> None:
    """Commit batches until the serving process closes its end of the socket."""
    for stop_signal in (signal.SIGINT, signal.SIGTERM):
        # The serving process handles them; this process ends when its socket is closed.
        signal.signal(stop_signal, signal.SIG_IGN)
    descriptor, batch_max, timeout_s, hold_s, identity = sys.argv[1:]
    timeouts = Timeouts(float(timeout_s), float(hold_s))
    logs.configure()
    storage = storage_of(os.environ[DATABASE_VARIABLE])
    storage.expect(identity)
    connection = storage.connect(timeouts.database_s)
    gc_tuning.tune_gc()
    with socket.socket(fileno=int(descriptor)) as channel:
        commit_until_closed(channel, connection, lambda: datetime.now(UTC), int(batch_max), timeouts)


if __name__ == "__main__":
    main()
