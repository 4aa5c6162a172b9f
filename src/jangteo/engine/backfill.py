"""Filling a window of the best sellers from the orders, beside the refreshes and however long it takes.

A heartbeat keeps the window alive meanwhile; without one for `HEARTBEAT_TIMEOUT` any server retires it.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import Final

import msgspec
import structlog

from jangteo.core.best_sellers import RefreshBestSellers, RefreshOutcome
from jangteo.core.entities import Window
from jangteo.engine.commands import Commands
from jangteo.engine.reads import Reads
from jangteo.engine.worker_pool import Overloaded, Stopped
from jangteo.storage.best_sellers.backfill import (
    WindowRetired,
    plan_abort,
    plan_finish,
    plan_heartbeat,
    plan_start,
    scan_orders,
)
from jangteo.storage.best_sellers.refresh import plan_removal
from jangteo.storage.errors import Unavailable
from jangteo.storage.port import Cost, Query, QueryRefused, Snapshot

log = structlog.get_logger()

HEARTBEAT_EVERY_S: Final = 30.0
RETRY_AFTER_S: Final = 3.0
"""The pause after the database could not be read or written."""
GIVE_UP_AFTER_S: Final = 60.0
"""A change that can't be written for so long ends the backfill."""
CONFLICT_PAUSE_S: Final = 0.02
"""The pause before a plan is made again because another refresh came first, a little longer each time."""


class BackfillAborted(QueryRefused):
    """The backfill ended early because `abort` was called."""


class Backfill:
    """Starts, fills and removes windows. Each change of a window is a refresh, planned again if another came first."""

    def __init__(self, commands: Commands, reads: Reads) -> None:
        self._commands = commands
        self._reads = reads
        self._aborted = asyncio.Event()

    def abort(self) -> None:
        """Have all backfills end soon. To be called on the event loop."""
        self._aborted.set()

    async def rebuild(self, days: int, report: Callable[[float], None]) -> None:
        """Backfill a new window of `days` days, which then replaces the active one.

        Calls `report` with the share done, from 0 to 1, in a worker thread. Raises BackfillAborted after `abort`,
        WindowRetired if the heartbeat timed out, and Overloaded or Unavailable as `Commands` and `Reads` do. After any
        of them the new window is retired, as far as the database can be written.
        """
        started = await self._change("aggregate", partial(plan_start, days=days))
        if started is None:
            raise WindowRetired
        window = started.refresh.new_windows[0]
        try:
            await self._fill(window, report)
        except (BackfillAborted, Overloaded, Unavailable):
            await self._retire(window)
            raise

    async def fill(self, window: Window) -> None:
        """Backfill a window that a refresh has started. Logs what goes wrong; raises nothing."""
        log.info("backfill started", days=window.days)
        try:
            await self._fill(window, lambda _: None)
        except BackfillAborted:
            await self._retire(window)
        except (Stopped, Overloaded, Unavailable, WindowRetired) as error:
            # The window is started again after the heartbeat timeout: not at once, so that it can't fail in a loop.
            if not self._aborted.is_set():
                log.warning("backfill failed", days=window.days, reason=reason_of(error))
        except Exception:
            log.exception("defect")
        else:
            log.info("window active", days=window.days)

    async def remove_retired(self) -> None:
        """Remove retired windows until none is left or `abort` is called. Raises as `rebuild` does."""
        while not self._aborted.is_set() and await self._change("aggregate", plan_removal):
            pass

    async def _fill(self, window: Window, report: Callable[[float], None]) -> None:
        heartbeat = asyncio.get_running_loop().create_task(self._send_heartbeats(window))

        def report_or_end(done: float) -> None:
            if self._aborted.is_set():
                raise BackfillAborted
            if heartbeat.done():
                raise WindowRetired
            report(done)

        try:
            scan = Query(partial(scan_orders, started=window, report=report_or_end), cost="sweep")
            missing = await self._reads.run(scan)
            await self._change("sweep", partial(plan_finish, started=window, missing=missing))
        finally:
            heartbeat.cancel()
            await asyncio.gather(heartbeat, return_exceptions=True)

    async def _send_heartbeats(self, window: Window) -> None:
        """Record heartbeats until the window is retired."""
        while True:
            await asyncio.sleep(HEARTBEAT_EVERY_S)
            try:
                await self._change("aggregate", partial(plan_heartbeat, started=window))
            except WindowRetired:
                return
            except (Overloaded, Unavailable) as error:
                log.warning("backfill heartbeat failed", days=window.days, reason=reason_of(error))

    async def _retire(self, window: Window) -> None:
        # If this fails, a refresh retires the window after the heartbeat timeout.
        with suppress(Stopped, Overloaded, Unavailable, WindowRetired):
            await self._change("aggregate", partial(plan_abort, started=window))

    async def _change(
        self, cost: Cost, plan: Callable[[Snapshot], RefreshBestSellers | None]
    ) -> RefreshBestSellers | None:
        """Plan a refresh and apply it, again if another one came first; None if there is nothing to do.

        Retries for `GIVE_UP_AFTER_S` while the database can't be read or written, then raises Overloaded or
        Unavailable.
        """
        give_up_at, conflicts = monotonic() + GIVE_UP_AFTER_S, 0
        while True:
            try:
                command = await self._reads.run(Query(plan, cost=cost))
                if command is None or await apply(self._commands, command):
                    return command
                await asyncio.sleep(min(conflicts, 10) * CONFLICT_PAUSE_S)
                conflicts += 1
            except (Overloaded, Unavailable):
                if self._aborted.is_set() or monotonic() > give_up_at:
                    raise
                await pause(self._aborted, RETRY_AFTER_S)


async def apply(commands: Commands, command: RefreshBestSellers) -> bool:
    """Submit a refresh; whether it was applied. Raises as `Commands.submit`."""
    outcome = await commands.submit(command)
    return msgspec.json.decode(outcome.body, type=RefreshOutcome).applied


async def pause(closing: asyncio.Event, seconds: float) -> None:
    """Wait for `seconds`, or until `closing` is set."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await closing.wait()


def reason_of(error: Exception) -> str:
    """An error's message for the log, or its type's name if it has none."""
    return str(error) or type(error).__name__
