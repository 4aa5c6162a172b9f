"""The refresher: keeps the view of the best sellers up to date beside the orders, and its windows as clients want them.

Every host has one. Any number of them may refresh: of two refreshes planned from one version, the second changes
nothing.
"""

import asyncio
from collections.abc import Coroutine
from functools import partial
from time import monotonic
from typing import Final

import structlog

from jangteo.engine.backfill import RETRY_AFTER_S, Backfill, apply, pause, reason_of
from jangteo.engine.commands import Commands
from jangteo.engine.reads import Reads
from jangteo.engine.worker_pool import Overloaded, Stopped
from jangteo.storage.best_sellers.refresh import plan_refresh
from jangteo.storage.errors import Unavailable, Unreachable, Unusable
from jangteo.storage.port import Query

log = structlog.get_logger()

REFRESH_EVERY_S: Final = 1.0
MAX_RETRY_AFTER_S: Final = 60.0
"""The longest pause after a refresh that failed: each failure in a row doubles it."""
SHUTDOWN_TIMEOUT_S: Final = 2.0
"""How long a closing shop waits for a refresh under way."""


class Refresher:
    """Refreshes the view of the best sellers, and backfills the windows that clients request."""

    def __init__(self, commands: Commands, reads: Reads) -> None:
        self._commands = commands
        self._reads = reads
        self._backfill = Backfill(commands, reads)
        self._requested: set[int] = set()
        self._closing = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def request_window(self, days: int) -> None:
        """Have a window maintained, if there is room. Called on the event loop."""
        self._requested.add(days)

    def start(self) -> None:
        """Start refreshing. Called on the event loop."""
        self._run(self._refresh_until_closed())

    async def stop(self) -> None:
        """Stop refreshing and abort backfills. What isn't refreshed yet is at the next start."""
        self._closing.set()
        self._backfill.abort()
        give_up_at = monotonic() + SHUTDOWN_TIMEOUT_S
        while self._tasks and (left_s := give_up_at - monotonic()) > 0:
            await asyncio.wait(set(self._tasks), timeout=left_s)
        # Nothing is lost by cancelling: the next refresh finds what became of this one.
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def refresh(self) -> float:
        """Apply one refresh if it is worth it; return how many seconds later the next may be.

        Raises as `Commands.submit` and `Reads.run`.
        """
        requested, self._requested = frozenset(self._requested), set()
        planned = await self._reads.run(Query(partial(plan_refresh, requested=requested), cost="aggregate"))
        if planned is None:
            return REFRESH_EVERY_S
        if not await apply(self._commands, planned.command):
            # Another server came first: leave it to that one for a while.
            self._requested |= requested
            return RETRY_AFTER_S
        for window in planned.command.refresh.new_windows:
            self._run(self._backfill.fill(window))
        return 0 if planned.has_more else REFRESH_EVERY_S

    async def _refresh_until_closed(self) -> None:
        retry_after_s = RETRY_AFTER_S
        while not self._closing.is_set():
            try:
                delay_s = await self.refresh()
            except Stopped:
                return
            except Unusable:
                # It has been logged once.
                delay_s = RETRY_AFTER_S
            except (Overloaded, Unreachable) as error:
                # Nothing was tried, so nothing says that the next refresh would fail, too.
                log.warning("refresh failed", reason=reason_of(error))
                delay_s = RETRY_AFTER_S
            except Exception as error:  # noqa: BLE001 - whatever it is, it is logged, and the next refresh may succeed
                _log_failure(error, retry_after_s)
                delay_s, retry_after_s = retry_after_s, min(2 * retry_after_s, MAX_RETRY_AFTER_S)
            else:
                retry_after_s = RETRY_AFTER_S
            await pause(self._closing, delay_s)

    def _run(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _log_failure(error: Exception, retry_after_s: float) -> None:
    if isinstance(error, Unavailable):
        log.warning("refresh failed", reason=reason_of(error), retry_after_s=retry_after_s)
    else:
        log.error("defect", retry_after_s=retry_after_s, exc_info=error)
