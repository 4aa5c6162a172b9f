"""A writer in a child process, for this process only."""

import os
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence

import structlog

from jangteo.engine.deadlines import DEFAULT_TIMEOUTS, Timeouts
from jangteo.engine.writer.client import WriterClient

log = structlog.get_logger()


class WriterProcess(WriterClient):
    """A writer in a child process."""

    def __init__(
        self,
        command: Callable[[int], Sequence[str]],
        *,
        environment: Mapping[str, str],
        kept_files: Callable[[], Sequence[int]],
        queue_max: int,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
    ) -> None:
        """`command` is the command line of the process, given the file descriptor of its end of a socket pair.

        The process inherits the descriptors of `kept_files`, and `environment` in addition to this process's: that is
        the place for secrets, since command lines can be read by every user of the machine.
        """
        super().__init__(queue_max=queue_max, timeouts=timeouts)
        self._command = command
        self._environment = environment
        self._kept_files = kept_files
        self._process: subprocess.Popen[bytes] | None = None

    def _open(self) -> socket.socket:
        own_end, writers_end = socket.socketpair()
        with writers_end:
            self._launch(writers_end)
        return own_end

    def _launch(self, channel: socket.socket) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own program, started in a millisecond
            self._command(channel.fileno()),
            env={**os.environ, **self._environment},
            pass_fds=(channel.fileno(), *self._kept_files()),
            # Ctrl-C is for the serving process only; the writer process ends when its socket is closed.
            start_new_session=True,
            stdin=subprocess.DEVNULL,
        )

    def _end(self, timeout_s: float) -> bool:
        ended, self._process = self._process, None
        if ended is None:
            return True
        try:
            ended.wait(timeout_s)
        except subprocess.TimeoutExpired:
            # It stands still. What it was executing is as unknown as after a crash.
            log.error("writer process killed, it did not end", process_id=ended.pid)  # noqa: TRY400 - no traceback
            ended.kill()
            ended.wait()
            return False
        return True
