"""The counting of what is sold, beside the orders: a task of every server that looks once a second, and does a step
where that is worth one. Any number of servers may do so: who comes second has done nothing.

A window is built beside that, in a cost of its own, however long it takes: whoever builds it is heard of all the while.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import Final, TypeVar

import msgspec
import structlog

from jangteo.core.counting import Counted, CountSales, Window
from jangteo.engine.commands import Commands
from jangteo.engine.reads import Reads
from jangteo.engine.worker_pool import Overloaded, Stopped
from jangteo.storage.best_sellers.refresh import (
    WindowGone,
    count_window,
    plan_building,
    plan_finish,
    plan_giving_up,
    plan_holding,
    plan_removal,
    plan_step,
)
from jangteo.storage.errors import Unavailable
from jangteo.storage.port import Cost, Query, QueryRefused, Snapshot

log = structlog.get_logger()
Answer = TypeVar("Answer")

LOOK_EVERY_S: Final = 1.0
STAND_BACK_S: Final = 3.0
"""So long who came too late, or couldn't, leaves it to others."""
HEARD_EVERY_S: Final = 30.0
"""Whoever builds a window is heard of so often: see `storage.counting.HEARD_WITHIN`."""
SHUTDOWN_TIMEOUT_S: Final = 5.0
"""So long a closing shop waits for a step that is under way."""
TOO_LATE_S: Final = 0.02
"""Who came too late plans anew so much later, and each time a little later still."""
PATIENCE_S: Final = 60.0
"""A database that can't be written is asked for so long before what was built is given up."""


class Ended(QueryRefused):
    """What was being counted is not counted on, since somebody has wanted that."""


class Counting:
    """Counts what is sold, and keeps the windows that are asked for."""

    def __init__(self, commands: Commands, reads: Reads) -> None:
        self._commands = commands
        self._reads = reads
        self._closing = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Go on where the counting was left."""
        self._run(self._go_on())

    def end(self) -> None:
        """Have all that is under way end soon. To be called on the event loop."""
        self._closing.set()

    async def stop(self) -> None:
        """End. What isn't counted yet is at the next start."""
        self.end()
        give_up_at = monotonic() + SHUTDOWN_TIMEOUT_S
        while self._running and (left_s := give_up_at - monotonic()) > 0:
            await asyncio.wait(set(self._running), timeout=left_s)
        # Where nobody answers any more, nothing is lost: what comes of a step is found by the next one.
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def step(self) -> float:
        """Do what there is to do now: so many seconds later there may be more. Raises as `Commands` and `Reads`."""
        asked, self._reads.windows_asked = frozenset(self._reads.windows_asked), set()
        planned = await self._ask("aggregate", partial(plan_step, asked=asked))
        if planned is None:
            return LOOK_EVERY_S
        if not await self._is_done(planned.command):
            self._reads.windows_asked |= asked
            return STAND_BACK_S
        for window in planned.command.step.new_windows:
            self._run(self._build_or_not(window))
        return 0 if planned.more else LOOK_EVERY_S

    async def rebuild(self, days: int, tell: Callable[[float], None]) -> None:
        """Count the window of so many days anew, from the orders; meanwhile the one there is goes on.

        `tell` is told, in a thread, how much of it is done, of 1. Raises Ended after `end`; WindowGone where the window
        was let go of by others; and as `Commands` and `Reads`. No window is left half counted, as far as the
        database can be written.
        """
        begun = await self._do("aggregate", partial(plan_building, days=days))
        if begun is None:
            raise WindowGone
        window = begun.step.new_windows[0]
        try:
            await self._build(window, tell)
        except (Ended, Overloaded, Unavailable):
            await self._give_up(window)
            raise

    async def remove_old(self) -> None:
        """Remove what was let go of, until nothing is left of it or `end` is called. Raises as `rebuild` does."""
        while not self._closing.is_set() and await self._do("aggregate", plan_removal):
            pass

    async def _build(self, begun: Window, tell: Callable[[float], None]) -> None:
        heard = asyncio.get_running_loop().create_task(self._be_heard(begun))

        def told(done: float) -> None:
            if self._closing.is_set():
                raise Ended
            if heard.done():
                raise WindowGone
            tell(done)

        try:
            lacking = await self._ask("sweep", partial(count_window, begun=begun, tell=told))
            await self._do("sweep", partial(plan_finish, begun=begun, lacking=lacking))
        finally:
            heard.cancel()
            await asyncio.gather(heard, return_exceptions=True)

    async def _be_heard(self, begun: Window) -> None:
        """Say every now and then that the window is being built, until it is gone."""
        while True:
            await asyncio.sleep(HEARD_EVERY_S)
            try:
                await self._do("aggregate", partial(plan_holding, begun=begun))
            except WindowGone:
                return
            except (Overloaded, Unavailable) as error:
                log.warning("not heard of who counts", days=begun.days, reason=_why(error))

    async def _give_up(self, begun: Window) -> None:
        # Where this can't be done either, it is by whoever next finds that nobody was heard of.
        with suppress(Stopped, Overloaded, Unavailable, WindowGone):
            await self._do("aggregate", partial(plan_giving_up, begun=begun))

    async def _build_or_not(self, begun: Window) -> None:
        log.info("best sellers are being counted", days=begun.days)
        try:
            await self._build(begun, lambda _: None)
        except Ended:
            await self._give_up(begun)
        except (Stopped, Overloaded, Unavailable, WindowGone) as error:
            # When nobody has been heard of for long enough it is begun anew: not at once, so that it can't be forever.
            if not self._closing.is_set():
                log.warning("best sellers not counted", days=begun.days, reason=_why(error))
        except Exception:
            log.exception("defect")
        else:
            log.info("best sellers are kept", days=begun.days)

    async def _go_on(self) -> None:
        while not self._closing.is_set():
            try:
                delay_s = await self.step()
            except Stopped:
                return
            except (Overloaded, Unavailable) as error:
                log.warning("sales wait to be counted", reason=_why(error))
                delay_s = STAND_BACK_S
            except Exception:
                log.exception("defect")
                delay_s = STAND_BACK_S
            await self._pause(delay_s)

    async def _do(self, cost: Cost, plan: Callable[[Snapshot], CountSales | None]) -> CountSales | None:
        """Plan a step and do it, anew where another one was done in between; None where there is nothing to do.

        Where the database can't be read or written it is asked again for a while. Raises as `Commands` and `Reads`.
        """
        end, too_late = monotonic() + PATIENCE_S, 0
        while True:
            try:
                command = await self._ask(cost, plan)
                if command is None or await self._is_done(command):
                    return command
                await asyncio.sleep(min(too_late, 10) * TOO_LATE_S)
                too_late += 1
            except (Overloaded, Unavailable):
                if self._closing.is_set() or monotonic() > end:
                    raise
                await self._pause(STAND_BACK_S)

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), seconds)

    def _run(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _ask(self, cost: Cost, read: Callable[[Snapshot], Answer]) -> Answer:
        return await self._reads.run(Query(read, cost=cost))

    async def _is_done(self, command: CountSales) -> bool:
        told = await self._commands.submit(command)
        return msgspec.json.decode(told.body, type=Counted).done


def _why(error: Exception) -> str:
    return str(error) or type(error).__name__
