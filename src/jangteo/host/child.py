"""A child process as its supervisor sees it: it sends lines, and a beat every second."""

import asyncio
import os
import socket
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

import structlog

log = structlog.get_logger()

SILENCE_MAX_S: Final = 30.0
"""A process that has not sent its beat for this long stands still. On a busy machine a start takes seconds."""


class Child:
    """A running child process and its lifeline."""

    def __init__(self, process: Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer

    @property
    def process_id(self) -> int:
        """The process's id."""
        return self._process.pid

    def send(self, line: str) -> None:
        """Send a line; it is lost if the process has ended."""
        with suppress(OSError):
            self._writer.write(f"{line}\n".encode())

    async def watch(self, hear: Callable[[str], None]) -> int:
        """Call `hear` with each line until the process has ended; return its exit code. Kill it if it stands still."""
        with suppress(ConnectionError):
            while line := await self._next_line():
                if text := line.strip():
                    hear(text.decode())
        self._writer.close()
        return await self._process.wait()

    async def end(self, timeout_s: float) -> bool:
        """Wait until the process has ended, and return whether it has; kill it after the timeout."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._process.wait()
                return True
        log.error("process killed, it did not end", process_id=self.process_id)
        self.kill()
        await self._process.wait()
        return False

    def kill(self) -> None:
        """Kill the process, unless it has ended."""
        with suppress(ProcessLookupError):
            self._process.kill()

    async def _next_line(self) -> bytes:
        try:
            async with asyncio.timeout(SILENCE_MAX_S):
                return await self._reader.readline()
        except TimeoutError:
            log.error("process killed, it stands still", process_id=self.process_id, silent_s=SILENCE_MAX_S)  # noqa: TRY400 - no traceback
            self.kill()
            return b""


async def launch(
    command: Callable[[int], Sequence[str]], *, environment: Mapping[str, str], kept: Sequence[int]
) -> Child:
    """Start a process, given the command line for the descriptor of its lifeline; it inherits `kept` as well.

    Raises OSError if that fails.
    """
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            process = await asyncio.create_subprocess_exec(
                *command(theirs.fileno()),
                env={**os.environ, **environment},
                pass_fds=(theirs.fileno(), *kept),
                # Ctrl-C is for the supervisor only.
                start_new_session=True,
                stdin=DEVNULL,
            )
        except OSError:
            ours.close()
            raise
    return Child(process, *await asyncio.open_connection(sock=ours))
