"""The client of a writer: it sends commands and receives outcomes in the same order.

The commands submitted within one iteration of the event loop are sent as one frame. What reaches the writer while it
commits a batch is its next batch. A command that is not answered in time fails; its outcome is dropped when it comes.
"""

import asyncio
import socket
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import monotonic
from typing import Final

import msgspec
import structlog

from jangteo.engine.batch import Submission
from jangteo.engine.deadlines import NO_ANSWER, SHUTDOWN_TIMEOUT_S, Deadlines, Timeouts, Waiting
from jangteo.engine.outcomes import SerializedOutcome
from jangteo.engine.worker_pool import Overloaded, Stopped
from jangteo.engine.writer.protocol import Frames, Outcomes, commands_frame, pack, read_outcomes
from jangteo.storage.errors import Unavailable

log = structlog.get_logger()

WRITER_LOST: Final = "the writer has ended; whether this was committed is not known"
END_TIMEOUT_S: Final = 1.0
"""How long a writer without commands is waited for until it has ended."""
RESTART_PAUSE_S: Final = 0.5
"""The pause before a writer is replaced that ended without answering anything."""


class WriterClient(asyncio.Protocol):
    """A writer at the other end of a socket. One that ends is replaced; its unanswered commands fail.

    Subclasses say what a writer is: a process or a thread of this process's own, or one that it shares with others.
    """

    def __init__(self, *, queue_max: int, timeouts: Timeouts) -> None:
        self._queue_max = queue_max
        self._timeouts = timeouts
        self._pending: list[msgspec.Raw] = []
        self._pending_since = 0.0
        self._unanswered: deque[Waiting] = deque()
        self._deadlines = Deadlines(self._unanswered, timeouts.database_s)
        self._on_events: Callable[[], None] = lambda: None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._transport: asyncio.Transport | None = None
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
        """Whether the writer is running."""
        return self._transport is not None

    async def start(self, on_events: Callable[[], None]) -> None:
        """Start the writer; `on_events` is called after each batch that wrote events."""
        self._on_events = on_events
        self._loop = asyncio.get_running_loop()
        self._deadlines.start(self._loop)
        await self._start_writer(self._loop)

    async def stop(self, timeout_s: float = SHUTDOWN_TIMEOUT_S) -> bool:
        """Accept no more commands, wait until those accepted are answered, and end the writer.

        Returns whether it ended in time. Otherwise it is killed, if that is possible.
        """
        if self._loop is None:
            return True
        give_up_at = monotonic() + timeout_s
        loop, self._loop = self._loop, None
        if self._restart is not None:
            self._restart.cancel()
            await asyncio.gather(self._restart, return_exceptions=True)
        self._send()
        if self._unanswered and self._transport is not None:
            self._all_answered.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_s - END_TIMEOUT_S):
                    await self._all_answered.wait()
        self._deadlines.stop()
        self._fail_unanswered(NO_ANSWER)
        if self._transport is not None:
            self._transport.close()
        return await loop.run_in_executor(None, self._end, max(give_up_at - monotonic(), END_TIMEOUT_S))

    def submit(self, submission: Submission) -> asyncio.Future[SerializedOutcome]:
        """Return the future outcome. Raises Overloaded if the queue is full, Stopped after `stop`."""
        if self._loop is None:
            raise Stopped
        if len(self._unanswered) >= self._queue_max:
            raise Overloaded
        command = pack(submission)
        future: asyncio.Future[SerializedOutcome] = self._loop.create_future()
        now = monotonic()
        self._unanswered.append(Waiting(future, now))
        if not self._pending:
            self._pending_since = now
            self._loop.call_soon(self._send)
        self._pending.append(command)
        return future

    def submit_all(self, submissions: Sequence[Submission]) -> list[asyncio.Future[SerializedOutcome]]:
        """Submit in order as many as the queue has room for, and return their future outcomes; none after `stop`."""
        if self._loop is None:
            return []
        room = max(self._queue_max - len(self._unanswered), 0)
        # All of them are packed before the first one is submitted: a value that can't be is raised for all.
        commands = [pack(each) for each in submissions[:room]]
        futures: list[asyncio.Future[SerializedOutcome]] = [self._loop.create_future() for _ in commands]
        now = monotonic()
        self._unanswered.extend(Waiting(each, now) for each in futures)
        if commands and not self._pending:
            self._pending_since = now
            self._loop.call_soon(self._send)
        self._pending.extend(commands)
        return futures

    def data_received(self, data: bytes) -> None:
        """Answer the commands whose outcomes have arrived."""
        for frame in self._frames.receive(data):
            self._answer(read_outcomes(frame))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's own signature
        """Fail the unanswered commands and replace the writer that has ended."""
        self._transport = None
        failed = self._fail_unanswered(WRITER_LOST)
        self._all_answered.set()
        # It may have committed events without reporting them.
        self._on_events()
        if self._loop is not None:
            log.error("writer lost, restarting", unanswered=failed)
            self._restart = self._loop.create_task(self._restart_writer(self._loop))

    def _open(self) -> socket.socket:
        """Return this end of a connection to a writer that runs, or is about to. Raises OSError if there is none."""
        raise NotImplementedError

    def _greet(self, transport: asyncio.Transport) -> None:
        """Send what the writer is to know before the first command."""

    def _end(self, timeout_s: float) -> bool:
        """Wait until the writer has ended whose channel was closed, and return whether it has.

        After the timeout, end it if that is possible.
        """
        raise NotImplementedError

    def _fail_unanswered(self, reason: str) -> int:
        failed = list(self._unanswered)
        self._unanswered.clear()
        self._pending.clear()
        for future, _ in failed:
            if not future.done():
                future.set_exception(Unavailable(reason))
        return len(failed)

    async def _restart_writer(self, loop: asyncio.AbstractEventLoop) -> None:
        await loop.run_in_executor(None, self._end, self._timeouts.database_s)
        while self._transport is None:
            if not self._has_answered:
                await asyncio.sleep(RESTART_PAUSE_S)
            self._has_answered = False
            try:
                await self._start_writer(loop)
            except OSError as error:
                log.warning("writer not started", reason=str(error))

    async def _start_writer(self, loop: asyncio.AbstractEventLoop) -> None:
        own_end = self._open()
        self._frames = Frames()
        self._transport, _ = await loop.create_connection(lambda: self, sock=own_end)
        self._greet(self._transport)
        self._send()

    def _send(self) -> None:
        if self._pending and self._transport is not None:
            self._transport.write(commands_frame(self._pending_since, self._pending))
            self._pending = []

    def _answer(self, batch: Outcomes) -> None:
        self._has_answered = True
        for outcome in batch.outcomes:
            future, _ = self._unanswered.popleft()
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
