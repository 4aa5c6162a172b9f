"""The relay: events go out as soon as they are committed, in order, and are marked when they were sent.

They are marked after sending, so after a crash the last events may be sent again, with the same ids; none is ever left
out. Orders don't wait for the relay, and don't notice when the platform is gone.

It is two tasks, so that nothing that an old event does holds up a new one: `Publisher` and `Maintenance`. Both go on as long
as this relay holds the lease, whatever becomes of them.
"""

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final, Protocol

import structlog

from jangteo.delivery.backoff import Backoff
from jangteo.delivery.maintenance import Maintenance
from jangteo.delivery.publisher import Publisher
from jangteo.delivery.reports import Reports
from jangteo.delivery.sender import LeaseLost, Sender
from jangteo.delivery.sinks.base import Gone, Later
from jangteo.engine.worker_pool import Overloaded, Stopped
from jangteo.storage.errors import Unavailable

log = structlog.get_logger()

SHUTDOWN_TIMEOUT_S: Final = 2.0
"""So long a closing shop waits for the platform to take what is left; and again for what is under way to give up."""


class Task(Protocol):
    """Something that is done again and again."""

    async def step(self) -> Any:
        """Some of it: something true where there may be more."""

    async def rest(self, done: Any, /) -> None:
        """Until the next step, after what the last one said."""


class Relay:
    """Sends what is in the outbox."""

    def __init__(self, sender: Sender, *, retention: timedelta, others_commit: bool) -> None:
        """`retention`: so long events are kept after they were sent. `others_commit`: also where nobody says so here."""
        self._sender = sender
        self._reports = Reports(sender)
        self._publisher = Publisher(sender, others_commit=others_commit)
        self._maintenance = Maintenance(sender, self._reports, retention)
        self._running: set[asyncio.Task[None]] = set()
        self._closing = asyncio.Event()

    def start(self) -> None:
        """Go on where the outbox was left."""
        self._sender.lease.start()
        self._running = {asyncio.create_task(self._run(task)) for task in (self._publisher, self._maintenance)}

    async def stop(self) -> None:
        """Send what is left, if the platform takes it soon; fallback it waits in the outbox for the next start."""
        self._closing.set()
        self._sender.events_committed.set()
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=SHUTDOWN_TIMEOUT_S)
            for task in late:
                task.cancel()
            if late and (await asyncio.wait(late, timeout=SHUTDOWN_TIMEOUT_S))[1]:
                # A file that hangs can't be told to give up; and what it may yet do, nobody else must do meanwhile.
                log.error("the platform is stuck: it is left as it is")
                return
        with suppress(TimeoutError):
            await asyncio.wait_for(self._publisher.finish(), SHUTDOWN_TIMEOUT_S)
        await self._sender.lease.release()
        await self._sender.close()

    async def _run(self, task: Task) -> None:
        backoff = Backoff()
        while True:
            closing = self._closing.is_set()
            if closing and task is self._maintenance:
                return
            try:
                done = await task.step()
                backoff.reset()
                if closing and not done:
                    return
                await self._until_closing(task.rest(done))
            except Stopped:
                return
            except LeaseLost:
                if closing:
                    return
                await self._until_closing(self._sender.lease.wait())
            except Exception as error:  # noqa: BLE001 - a defect holds events up, and is told; it doesn't end the relay
                if closing:
                    return
                await self._back_off(error, backoff)

    async def _back_off(self, error: Exception, backoff: Backoff) -> None:
        """Wait, longer each time. Never raises."""
        delay_s = backoff.next_delay_s(error.after_s if isinstance(error, Later) else None)
        if isinstance(error, Gone):
            self._sender.stopped = True
        elif not isinstance(error, Later):
            self._sender.forget()
        _log(error, delay_s)
        try:
            if isinstance(error, Gone | Later):
                await self._reports.failure(str(error), stopped=isinstance(error, Gone))
        except Exception as untold:  # noqa: BLE001 - whoever can't be told can't be told
            log.warning("operators not told", reason=repr(untold))
        await self._until_closing(asyncio.sleep(delay_s))

    async def _until_closing(self, waiting: Any) -> None:
        """Wait for it, but no longer than until the shop closes."""
        ends = [asyncio.ensure_future(waiting), asyncio.ensure_future(self._closing.wait())]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()
                with suppress(asyncio.CancelledError):
                    await end


def _log(error: Exception, delay_s: float) -> None:
    if isinstance(error, Gone):
        log.error("the platform wants no more events", reason=str(error))
    elif isinstance(error, Later | Overloaded | Unavailable):
        log.warning("events wait", reason=str(error) or type(error).__name__, next_attempt_in_s=round(delay_s, 3))
    else:
        log.error("defect", exc_info=error)
