"""The maintenance loop: runs the reports, retention, the retry queue and the replay in turn.

Each step of a job is small, so that new events are sent in between.
"""

import asyncio
from datetime import timedelta
from typing import Final

from jangteo.delivery.replay import ReplayJob
from jangteo.delivery.reports import Reports
from jangteo.delivery.retention import Retention
from jangteo.delivery.retry_queue import RetryQueue
from jangteo.delivery.sender import Sender
from jangteo.storage.maintenance import read_due_work

INTERVAL_S: Final = 1.0
"""The pause between steps when nothing is left to do."""
STEP_PAUSE_S: Final = 0.02
"""The pause between steps while there is more to do."""
_RETRIES_PER_STEP: Final = 200


class Maintenance:
    """The relay's loop for everything but new events."""

    def __init__(self, sender: Sender, reports: Reports, retention: timedelta) -> None:
        """Events are kept for `retention` after they were sent."""
        self._sender = sender
        self._reports = reports
        self._retention = Retention(sender, retention)
        self._retry_queue = RetryQueue(sender)
        self._replay = ReplayJob(sender)

    async def step(self) -> bool:
        """Run a step of each job and return whether there may be more to do. Raises what sending raises."""
        async with self._sender.lock:
            await self._sender.get_ready()
            due = await self._sender.query(read_due_work, self._sender.platform, _RETRIES_PER_STEP)
            self._sender.mark_stopped(stopped=due.stopped)
        await self._reports.step()
        # Nothing is purged during a replay, which may still need it.
        more = due.replay is None and await self._retention.step()
        if self._sender.stopped or self._sender.failing:
            return more
        more |= await self._retry_queue.step(due.retries)
        more |= await self._replay.step(due.replay)
        return more

    async def rest(self, more: bool) -> None:  # noqa: FBT001 - the result of `step`
        """Pause before the next step, longer when nothing is left to do."""
        await asyncio.sleep(STEP_PAUSE_S if more else INTERVAL_S)
