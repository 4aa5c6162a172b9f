"""A place in a host that one process fills: when that one dies, another takes it."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Final

import structlog

from jangteo.host.child import Child
from jangteo.lifeline import END

log = structlog.get_logger()

SHORT_LIFE_S: Final = 5.0
"""A process that ends within this time is replaced after a pause, which doubles each time."""
FIRST_PAUSE_S: Final = 0.5
PAUSE_MAX_S: Final = 10.0


class Place:
    """Keeps one process running until `end`."""

    def __init__(self, name: str, launch: Callable[[], Awaitable[Child]], hear: Callable[[str], None]) -> None:
        """`hear` is called with every line that its process sends."""
        self.name = name
        self._launch = launch
        self._hear = hear
        self._child: Child | None = None
        self._given_up = asyncio.Event()
        self._last_line = END
        """What a process gets that is started while the place is being given up."""
        self._keeping: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the process. Called on the event loop."""
        self._keeping = asyncio.get_running_loop().create_task(self._keep())

    def send(self, line: str) -> None:
        """Send a line to the process, if there is one."""
        if self._child is not None:
            self._child.send(line)

    def give_up(self, line: str) -> None:
        """Replace the process no more, and send it the line, even if it is only being started."""
        self._last_line = line
        self._given_up.set()
        self.send(line)

    async def wait_until_empty(self) -> None:
        """Wait until no process runs here any more."""
        if self._keeping is not None:
            await asyncio.shield(self._keeping)

    async def end(self, timeout_s: float) -> bool:
        """End the process for good, and return whether it ended in time; otherwise it is killed."""
        self.give_up(END)
        ended = self._child is None or await self._child.end(timeout_s)
        if self._keeping is not None:
            await self._keeping
        return ended

    async def _keep(self) -> None:
        pause_s = FIRST_PAUSE_S
        while not self._given_up.is_set():
            started_at = monotonic()
            await self._fill()
            if self._given_up.is_set():
                return
            if monotonic() - started_at > SHORT_LIFE_S:
                pause_s = FIRST_PAUSE_S
                continue
            await self._pause(pause_s)
            pause_s = min(2 * pause_s, PAUSE_MAX_S)

    async def _fill(self) -> None:
        """Start a process, and return when it has ended."""
        try:
            self._child = await self._launch()
        except OSError as error:
            log.error("process not started", process=self.name, reason=str(error))  # noqa: TRY400 - no traceback
            return
        if self._given_up.is_set():
            self._child.send(self._last_line)
        code = await self._child.watch(self._hear)
        self._child = None
        if not self._given_up.is_set():
            log.error("process ended, starting another", process=self.name, exit_code=code)

    async def _pause(self, pause_s: float) -> None:
        try:
            async with asyncio.timeout(pause_s):
                await self._given_up.wait()
        except TimeoutError:
            return
