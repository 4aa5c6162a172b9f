"""The way to the process that decides, as the event loop sees it: commands out, outcomes in, in the same order.

Commands go out at once, all of one turn of the loop together; what arrives over there while a batch is being committed
is the next batch.
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

LOST: Final = "the process that writes has ended; whether this was written is not known"
REPLACED_AFTER_S: Final = 0.5
"""The pause before another writer is started where the one before it hadn't lived to answer anything."""


class WriterProcess(asyncio.Protocol):
    """A writer in a process of its own. One that dies is replaced; what it had not answered has failed."""

    def __init__(
        self,
        command: Callable[[int], Sequence[str]],
        *,
        environment: Mapping[str, str],
        kept_files: Callable[[], Sequence[int]],
        queue_max: int,
    ) -> None:
        """`command` starts a writer that talks over a file descriptor; it keeps `kept_files` open as long as it lives.

        `environment` is what it finds in its own beside ours: the place for what must not be seen in a command.
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
        self._replacing: asyncio.Task[None] | None = None
        self._has_answered = False
        self._frames = Frames()
        self._all_answered = asyncio.Event()

    @property
    def unanswered(self) -> int:
        """Commands taken in and not answered yet."""
        return len(self._unanswered)

    @property
    def is_up(self) -> bool:
        """Whether the process is there."""
        return self._transport is not None

    async def start(self, has_events: Callable[[], None]) -> None:
        """Start the writer; `has_events` is called after batches that are for the platform."""
        self._on_events = has_events
        self._loop = asyncio.get_running_loop()
        await self._begin(self._loop)

    async def stop(self) -> None:
        """Have everything that was taken in answered, take in no more, and see the writer end."""
        if self._loop is None:
            return
        loop, self._loop = self._loop, None
        if self._replacing is not None:
            self._replacing.cancel()
            await asyncio.gather(self._replacing, return_exceptions=True)
        self._send()
        while self._unanswered and self._transport is not None:
            self._all_answered.clear()
            await self._all_answered.wait()
        self._fail_unanswered()
        if self._transport is not None:
            self._transport.close()
        if self._process is not None:
            await loop.run_in_executor(None, self._process.wait)

    def submit(self, asked: Submission) -> asyncio.Future[SerializedOutcome]:
        """The outcome, once it is durable. Raises Overloaded where the queue is full, Stopped after `stop`."""
        if self._loop is None:
            raise Stopped
        if len(self._unanswered) >= self._queue_max:
            raise Overloaded
        command = pack(asked)
        future: asyncio.Future[SerializedOutcome] = self._loop.create_future()
        self._unanswered.append(future)
        if not self._pending:
            self._loop.call_soon(self._send)
        self._pending.append(command)
        return future

    def data_received(self, data: bytes) -> None:
        """Outcomes have arrived."""
        for frame in self._frames.whole(data):
            self._answer(read_outcomes(frame))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's own signature
        """The writer has ended."""
        self._transport = None
        lost = self._fail_unanswered()
        self._all_answered.set()
        # What it had committed and not told may lock events.
        self._on_events()
        if self._loop is not None:
            log.error("the writer has ended; another is started", unanswered=lost)
            self._replacing = self._loop.create_task(self._replace(self._loop))

    def _fail_unanswered(self) -> int:
        lost, self._unanswered = self._unanswered, deque()
        self._pending.clear()
        for future in lost:
            if not future.done():
                future.set_exception(Unavailable(LOST))
        return len(lost)

    async def _replace(self, loop: asyncio.AbstractEventLoop) -> None:
        ended, self._process = self._process, None
        if ended is not None:
            await loop.run_in_executor(None, ended.wait)
        while self._process is None:
            if not self._has_answered:
                await asyncio.sleep(REPLACED_AFTER_S)
            self._has_answered = False
            try:
                await self._begin(loop)
            except OSError as error:
                log.warning("no writer could be started", reason=str(error))

    async def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(  # noqa: ASYNC220, S603 - our own program, started in a millisecond
                self._command(theirs.fileno()),
                env={**os.environ, **self._environment},
                pass_fds=(theirs.fileno(), *self._kept_files()),
                # Ctrl-C is for the process that speaks HTTP; this one ends when that one has done with it.
                start_new_session=True,
                stdin=subprocess.DEVNULL,
            )
        self._frames = Frames()
        self._transport, _ = await loop.create_connection(lambda: self, sock=ours)
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
                future.set_exception(Unavailable(batch.failure or LOST))
            else:
                future.set_result(outcome)
        if batch.has_events:
            self._on_events()
        if not self._unanswered:
            self._all_answered.set()
