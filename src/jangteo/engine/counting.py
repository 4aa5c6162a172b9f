"""The counting of what is sold, beside the orders: a task of every server that looks once a second, and does a step
where that is worth one. Any number of servers may do so: who comes second has done nothing.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Final, TypeVar

import msgspec
import structlog

from jangteo.core.counting import Counted, CountSales, Window
from jangteo.engine.committing import Committing
from jangteo.engine.lane import Overloaded, Stopped
from jangteo.engine.reading import Reading
from jangteo.storage.counting import WindowGone, count_window, plan_building, plan_finish, plan_step
from jangteo.storage.errors import Unavailable
from jangteo.storage.port import Lane, Question, Snapshot

log = structlog.get_logger()
Answer = TypeVar("Answer")

LOOK_EVERY_S: Final = 1.0
STAND_BACK_S: Final = 3.0
"""So long who came too late, or couldn't, leaves it to others."""


class Counting:
    """Counts what is sold, and keeps the windows that are asked for."""

    def __init__(self, committing: Committing, reading: Reading) -> None:
        self._committing = committing
        self._reading = reading
        self._closing = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Go on where the counting was left."""
        self._run(self._go_on())

    async def stop(self) -> None:
        """End. What isn't counted yet is at the next start."""
        self._closing.set()
        await asyncio.gather(*self._running)

    async def step(self) -> float:
        """Do what there is to do now: so many seconds later there may be more. Raises as `Committing` and `Reading`."""
        asked, self._reading.windows_asked = frozenset(self._reading.windows_asked), set()
        planned = await self._ask("counting", partial(plan_step, asked=asked))
        if planned is None:
            return LOOK_EVERY_S
        if not await self._is_done(planned.command):
            self._reading.windows_asked |= asked
            return STAND_BACK_S
        for window in planned.command.step.new_windows:
            self._run(self._build_or_not(window))
        return 0 if planned.more else LOOK_EVERY_S

    async def rebuild(self, days: int, tell: Callable[[float], None]) -> None:
        """Count the window of so many days anew, from the orders; meanwhile the one there is goes on.

        `tell` is told, in a thread, how much of it is done, of 1. Raises WindowGone where it took too long; and as
        `Committing` and `Reading`.
        """
        begun: CountSales | None = None
        while begun is None or not await self._is_done(begun):
            begun = await self._ask("counting", partial(plan_building, days=days))
        await self._build(begun.step.new_windows[0], tell)

    async def remove_old(self) -> None:
        """Remove what was let go of."""
        while await self.step() != LOOK_EVERY_S:
            pass

    async def _build(self, window: Window, tell: Callable[[float], None]) -> None:
        lacking = await self._ask("building", partial(count_window, begun=window, tell=tell))
        finish: CountSales | None = None
        while finish is None or not await self._is_done(finish):
            finish = await self._ask("building", partial(plan_finish, begun=window, lacking=lacking))

    async def _build_or_not(self, window: Window) -> None:
        log.info("best sellers are being counted", window=window.window_id)
        try:
            await self._build(window, self._end_when_closing)
        except (Stopped, Overloaded, Unavailable, WindowGone) as error:
            # Ten minutes later it is begun anew.
            if not self._closing.is_set():
                reason = str(error) or type(error).__name__
                log.warning("best sellers not counted", window=window.window_id, reason=reason)
        except Exception:
            log.exception("defect")
        else:
            log.info("best sellers are kept", window=window.window_id)

    def _end_when_closing(self, _: float) -> None:
        if self._closing.is_set():
            raise Stopped

    async def _go_on(self) -> None:
        while not self._closing.is_set():
            try:
                pause_s = await self.step()
            except Stopped:
                return
            except (Overloaded, Unavailable) as error:
                log.warning("sales wait to be counted", reason=str(error) or type(error).__name__)
                pause_s = STAND_BACK_S
            except Exception:
                log.exception("defect")
                pause_s = STAND_BACK_S
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), pause_s)

    def _run(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _ask(self, lane: Lane, read: Callable[[Snapshot], Answer]) -> Answer:
        return await self._reading.ask(Question(read, lane=lane))

    async def _is_done(self, command: CountSales) -> bool:
        told = await self._committing.submit(command)
        return msgspec.json.decode(told.body, type=Counted).done
