"""A writer in a thread of this process: for tests that control the clock, and for commands without a server."""

import socket
from collections.abc import Callable
from datetime import datetime
from threading import Thread

from jangteo.engine.deadlines import DEFAULT_TIMEOUTS, Timeouts
from jangteo.engine.writer.channels import Channels
from jangteo.engine.writer.client import WriterClient
from jangteo.engine.writer.loop import commit_until_closed
from jangteo.storage.port import Storage


class WriterThread(WriterClient):
    """A writer in a thread of this process."""

    def __init__(
        self,
        storage: Storage,
        clock: Callable[[], datetime],
        *,
        batch_max: int,
        queue_max: int,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
    ) -> None:
        super().__init__(queue_max=queue_max, timeouts=timeouts)
        self._storage = storage
        self._clock = clock
        self._batch_max = batch_max
        self._thread: Thread | None = None

    def _open(self) -> socket.socket:
        own_end, writers_end = socket.socketpair()
        self._thread = Thread(target=self._run, args=(writers_end,), name="commit", daemon=True)
        self._thread.start()
        return own_end

    def _run(self, channel: socket.socket) -> None:
        with channel:
            connection = self._storage.connect(self._timeouts.database_s)
            commit_until_closed(Channels([channel]), connection, self._clock, self._batch_max, self._timeouts)

    def _end(self, timeout_s: float) -> bool:
        thread, self._thread = self._thread, None
        if thread is None:
            return True
        # A thread that stands still can't be ended; it ends with the process.
        thread.join(timeout_s)
        return not thread.is_alive()
