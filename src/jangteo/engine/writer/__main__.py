"""The composition root of the writer process: `python -m jangteo.engine.writer WRITER`, see `WriterStart`.

A serving process or a supervisor starts it, with the database's URL in JANGTEO_DATABASE. It is not meant to be started
by hand.
"""

import os
import signal
import socket
import sys
from datetime import UTC, datetime

import msgspec

from jangteo import logs
from jangteo.engine import gc_tuning
from jangteo.engine.deadlines import Timeouts
from jangteo.engine.writer.channels import Channels
from jangteo.engine.writer.loop import commit_until_closed
from jangteo.engine.writer.start import WriterStart
from jangteo.lifeline import Lifeline
from jangteo.settings import DATABASE_VARIABLE
from jangteo.storage.urls import storage_of


def main() -> None:
    """Commit batches until no client is left and none can come."""
    for stop_signal in (signal.SIGINT, signal.SIGTERM):
        # The process that started this one handles them, and ends this one by its sockets.
        signal.signal(stop_signal, signal.SIG_IGN)
    start = msgspec.json.decode(sys.argv[1], type=WriterStart)
    timeouts = Timeouts(start.database_timeout_s, start.hold_s)
    logs.configure()
    storage = storage_of(os.environ[DATABASE_VARIABLE])
    storage.expect(start.identity)
    connection = storage.connect(timeouts.database_s)
    gc_tuning.tune_gc()
    channels = _channels(start)
    commit_until_closed(channels, connection, lambda: datetime.now(UTC), start.batch_max, timeouts)
    channels.remove_socket()


def _channels(start: WriterStart) -> Channels:
    connections = [] if start.client is None else [socket.socket(fileno=start.client)]
    if start.listening is None or start.lifeline is None:
        return Channels(connections)
    lifeline = Lifeline(start.lifeline)
    lifeline.start_beating()
    return Channels(connections, listening=socket.socket(fileno=start.listening), closing=lifeline.socket)


if __name__ == "__main__":
    main()
