"""Deadlines: whoever waits longer than a timeout is answered, whatever stands still behind the queue."""

import asyncio
from collections import deque
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final, NamedTuple

from jangteo.storage.errors import Unavailable
from jangteo.storage.port import DATABASE_TIMEOUT_S

CHECK_INTERVAL_S: Final = 0.25
GRACE_S: Final = 1.0
"""How much longer a caller waits than the database is waited for, so that a late outcome can still be resolved."""
SHUTDOWN_TIMEOUT_S: Final = 5.0
"""How long a closing shop waits for all that is under way; what stands still after that is given up."""
HOLD_PAUSE_S: Final = 0.1
"""The pause before the database is tried again that could not be reached."""
NO_ANSWER: Final = "the database has not answered in time; whether this was executed is not known"


@dataclass(frozen=True)
class Timeouts:
    """How long callers wait for the database, in seconds."""

    database_s: float = DATABASE_TIMEOUT_S
    """For one answer of the database. What has waited this long to begin is not begun any more."""
    hold_s: float = 5.0
    """While no server can be reached; then nothing was done."""


DEFAULT_TIMEOUTS: Final = Timeouts()


class Waiting(NamedTuple):
    """One who waits for an answer, and since when by the monotonic clock."""

    future: asyncio.Future[Any]
    since: float


class Deadlines:
    """Fails the futures of a queue that have waited too long.

    The queue is in order of arrival; done ones may stay in it.
    """

    def __init__(self, queue: deque[Waiting], timeout_s: float) -> None:
        self._queue = queue
        self._timeout_s = timeout_s + GRACE_S
        self._timer: asyncio.TimerHandle | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Check the queue a few times a second."""
        self._timer = loop.call_later(CHECK_INTERVAL_S, self._check, loop)

    def stop(self) -> None:
        """Check no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _check(self, loop: asyncio.AbstractEventLoop) -> None:
        before = monotonic() - self._timeout_s
        for future, since in self._queue:
            if since > before:
                break
            if not future.done():
                future.set_exception(Unavailable(NO_ANSWER))
        self.start(loop)
