"""The serving process's client of its writer process: it sends commands and receives outcomes in the same order.

The commands submitted within one iteration of the event loop are sent as one frame. What reaches the writer process
while it commits a batch is its next batch.
"""

import asyncio
import os
import socket
import subprocess
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec
import structlog

from jangteo.engine.batch import Submission
from jangteo.engine.outcomes import SerializedOutcome
from jangteo.engine.worker_pool import Overloaded, Stopped
from jangteo.engine.writer.protocol import Frames, Outcomes, commands_frame, pack, read_outcomes
from jangteo.storage.errors import Unavailable

log = structlog.get_logger()

WRITER_LOST: Final = "the writer process has ended; whether this was committed is not known"
RESTART_PAUSE_S: Final = 0.5
"""The pause before a writer process is replaced that ended without answering anything."""


class WriterProcess(asyncio.Protocol):
    """A writer in a child process. A process that dies is replaced; its unanswered commands fail with Unavailable."""

    def __init__(
        self,
        command: Callable[[int], Sequence[str]],
        *,
        environment: Mapping[str, str],
        kept_files: Callable[[], Sequence[int]],
        queue_max: int,
    ) -> None:
        """`command` is the command line of the process, given the file descriptor of its end of a socket pair.

        The process inherits the descriptors of `kept_files`, and `environment` in addition to this process's: that is
        the place for secrets, since command lines can be read by every user of the machine.
        """
        self._command = command
        self._environment = environment
        self._kept_files = kept_files
        self._queue_max = queue_max
        self._pending: list[msgspec.Raw] = []
        self._unanswered: deque[asyncio.Future[SerializedOutcome]] = deque()
        self._on_events: Callable[[], None] = lambda: None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._transport: asyncio.Transport | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._restart: asyncio.Task[None] | None = None
        self._has_answered = False
        self._frames = Frames()
        self._all_answered = asyncio.Event()

    @property
    def unanswered(self) -> int:
        """The number of commands accepted and not answered yet."""
        return len(self._unanswered)

    @property
    def is_up(self) -> bool:
        """Whether the process is running."""
        return self._transport is not None

    async def start(self, on_events: Callable[[], None]) -> None:
        """Start the process; `on_events` is called after each batch that wrote events."""
        self._on_events = on_events
        self._loop = asyncio.get_running_loop()
        await self._start_process(self._loop)

    async def stop(self) -> None:
        """Accept no more commands, wait until those accepted are answered, and end the process."""
        if self._loop is None:
            return
        loop, self._loop = self._loop, None
        if self._restart is not None:
            self._restart.cancel()
            await asyncio.gather(self._restart, return_exceptions=True)
        self._send()
        while self._unanswered and self._transport is not None:
            self._all_answered.clear()
            await self._all_answered.wait()
        self._fail_unanswered()
        if self._transport is not None:
            self._transport.close()
        if self._process is not None:
            await loop.run_in_executor(None, self._process.wait)

    def submit(self, submission: Submission) -> asyncio.Future[SerializedOutcome]:
        """Return the future outcome. Raises Overloaded if the queue is full, Stopped after `stop`."""
        if self._loop is None:
            raise Stopped
        if len(self._unanswered) >= self._queue_max:
            raise Overloaded
        command = pack(submission)
        future: asyncio.Future[SerializedOutcome] = self._loop.create_future()
        self._unanswered.append(future)
        if not self._pending:
            self._loop.call_soon(self._send)
        self._pending.append(command)
        return future

    def data_received(self, data: bytes) -> None:
        """Answer the commands whose outcomes have arrived."""
        for frame in self._frames.receive(data):
            self._answer(read_outcomes(frame))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's own signature
        """Fail the unanswered commands and replace the process that has ended."""
        self._transport = None
        failed = self._fail_unanswered()
        self._all_answered.set()
        # It may have committed events without reporting them.
        self._on_events()
        if self._loop is not None:
            log.error("writer process lost, restarting", unanswered=failed)
            self._restart = self._loop.create_task(self._restart_process(self._loop))

    def _fail_unanswered(self) -> int:
        failed, self._unanswered = self._unanswered, deque()
        self._pending.clear()
        for future in failed:
            if not future.done():
                future.set_exception(Unavailable(WRITER_LOST))
        return len(failed)

    async def _restart_process(self, loop: asyncio.AbstractEventLoop) -> None:
        ended, self._process = self._process, None
        if ended is not None:
            await loop.run_in_executor(None, ended.wait)
        while self._process is None:
            if not self._has_answered:
                await asyncio.sleep(RESTART_PAUSE_S)
            self._has_answered = False
            try:
                await self._start_process(loop)
            except OSError as error:
                log.warning("writer process not started", reason=str(error))

    async def _start_process(self, loop: asyncio.AbstractEventLoop) -> None:
        own_end, child_end = socket.socketpair()
        with child_end:
            self._process = subprocess.Popen(  # noqa: ASYNC220, S603 - our own program, started in a millisecond
                self._command(child_end.fileno()),
                env={**os.environ, **self._environment},
                pass_fds=(child_end.fileno(), *self._kept_files()),
                # Ctrl-C is for the serving process only; the writer process ends when its socket is closed.
                start_new_session=True,
                stdin=subprocess.DEVNULL,
            )
        self._frames = Frames()
        self._transport, _ = await loop.create_connection(lambda: self, sock=own_end)
        self._send()

    def _send(self) -> None:
        if self._pending and self._transport is not None:
            self._transport.write(commands_frame(self._pending))
            self._pending = []

    def _answer(self, batch: Outcomes) -> None:
        self._has_answered = True
        for outcome in batch.outcomes:
            future = self._unanswered.popleft()
            if future.done():
                continue
            if outcome is None:
                future.set_exception(Unavailable(batch.failure or WRITER_LOST))
            else:
                future.set_result(outcome)
        if batch.has_events:
            self._on_events()
        if not self._unanswered:
            self._all_answered.set()
