"""The composition root of the process that writes: `python -m jangteo.engine.writer DESCRIPTOR BATCH_MAX`.

It is started by a server, never by hand, and finds the database's URL in JANGTEO_DATABASE.
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
    """Write until the server has closed its end of the channel."""
    for closing in (signal.SIGINT, signal.SIGTERM):
        # It is the server that is told to close; this process ends when that one needs it no more.
        signal.signal(closing, signal.SIG_IGN)
    descriptor, batch_max = (int(argument) for argument in sys.argv[1:])
    logs.configure()
    connection = open_storage(os.environ[DATABASE_VARIABLE]).connect()
    gc_tuning.tune_gc()
    with socket.socket(fileno=descriptor) as channel:
        commit_until_closed(channel, connection, lambda: datetime.now(UTC), batch_max)


if __name__ == "__main__":
    main()
