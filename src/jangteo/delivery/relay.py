"""The relay: sends events as soon as they are committed, in order, and marks them as sent afterwards.

After a crash between sending and marking the last events are sent again, with the same ids; none is ever left out.
Orders don't wait for the relay, and go on when the platform is unavailable.

Two loops share the sender, so that work on old events doesn't delay new ones: `Publisher` and `Maintenance`. Both run
for as long as this relay holds the lease, whatever errors they meet.
"""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final, Protocol

import structlog

from jangteo.delivery.backoff import Backoff
from jangteo.delivery.maintenance import Maintenance
from jangteo.delivery.publisher import Publisher
from jangteo.delivery.reports import Reports
from jangteo.delivery.sender import LeaseLost, Sender
from jangteo.delivery.sinks.base import PlatformGone, PlatformUnavailable
from jangteo.engine.worker_pool import Overloaded, Stopped
from jangteo.storage.errors import Unavailable, Unusable

log = structlog.get_logger()

SHUTDOWN_TIMEOUT_S: Final = 2.0
"""How long a closing relay waits for the loops to send what is left; and, once they are cancelled, to end."""
FULL_QUEUE_PAUSE_S: Final = 0.02
"""The pause of a closing relay before it asks again after it was refused by a full queue."""


class Loop(Protocol):
    """Work in repeated steps."""

    async def step(self) -> Any:
        """Do a part of the work; a true result means that there may be more."""

    async def rest(self, result: Any, /) -> None:
        """Pause until the next step, given the result of the last one."""


class Relay:
    """Moves events from the outbox to the platform."""

    def __init__(self, sender: Sender, *, retention: timedelta, others_commit: bool) -> None:
        """Events are kept for `retention` after they were sent.

        `others_commit`: other processes commit events too, without a notification here.
        """
        self._sender = sender
        self._reports = Reports(sender)
        self._publisher = Publisher(sender, others_commit=others_commit)
        self._maintenance = Maintenance(sender, self._reports, retention)
        self._running: set[asyncio.Task[None]] = set()
        self._closing = asyncio.Event()

    def start(self) -> None:
        """Acquire the lease and start both loops."""
        self._sender.start()
        self._running = {asyncio.create_task(self._run(loop)) for loop in (self._publisher, self._maintenance)}

    async def stop(self) -> None:
        """Send what is left within the shutdown timeout; what isn't sent waits in the outbox for the next start."""
        self._closing.set()
        self._sender.wake()
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=SHUTDOWN_TIMEOUT_S)
            for task in late:
                task.cancel()
            if late and (await asyncio.wait(late, timeout=SHUTDOWN_TIMEOUT_S))[1]:
                # A hanging file system can't be interrupted. The lease is kept: this process may still write.
                log.error("platform hangs, relay not closed")
                return
        with suppress(TimeoutError):
            async with asyncio.timeout(SHUTDOWN_TIMEOUT_S):
                await self._publisher.finish()
        await self._sender.close()

    async def _run(self, loop: Loop) -> None:
        backoff = Backoff()
        while True:
            closing = self._closing.is_set()
            if closing and loop is self._maintenance:
                return
            try:
                result = await loop.step()
                backoff.reset()
                if closing and not result:
                    return
                await self._until_closing(loop.rest(result))
            except Stopped:
                return
            except LeaseLost:
                if closing:
                    return
                await self._until_closing(self._sender.wait_for_lease())
            except Exception as error:  # noqa: BLE001 - a defect delays events and is logged; it doesn't end the relay
                if not closing:
                    await self._back_off(error, backoff)
                elif isinstance(error, Overloaded):
                    # The queues empty while the shop closes.
                    await asyncio.sleep(FULL_QUEUE_PAUSE_S)
                else:
                    return

    async def _back_off(self, error: Exception, backoff: Backoff) -> None:
        """Log and report the error, then wait. Never raises."""
        delay_s = backoff.next_delay_s(error.retry_after_s if isinstance(error, PlatformUnavailable) else None)
        if isinstance(error, PlatformGone):
            self._sender.mark_stopped()
        elif not isinstance(error, PlatformUnavailable):
            self._sender.invalidate()
        _log(error, delay_s)
        try:
            if isinstance(error, PlatformGone | PlatformUnavailable):
                await self._reports.report_failure(str(error), stopped=isinstance(error, PlatformGone))
        except Exception as unreported:  # noqa: BLE001 - the report is for operators; the relay goes on without it
            log.warning("platform status not recorded", reason=repr(unreported))
        await self._until_closing(asyncio.sleep(delay_s))

    async def _until_closing(self, waiting: Awaitable[None]) -> None:
        """Wait, but no longer than until the relay closes."""
        ends = [asyncio.ensure_future(waiting), asyncio.ensure_future(self._closing.wait())]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()
                with suppress(asyncio.CancelledError):
                    await end


def _log(error: Exception, delay_s: float) -> None:
    if isinstance(error, Unusable):
        # It has been logged once.
        return
    if isinstance(error, PlatformGone):
        log.error("platform stopped the relay", reason=str(error))
    elif isinstance(error, PlatformUnavailable | Overloaded | Unavailable):
        log.warning("delivery failed, retrying", reason=str(error) or type(error).__name__, delay_s=round(delay_s, 3))
    else:
        log.error("defect", exc_info=error)
