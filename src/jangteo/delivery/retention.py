"""Retention's job: purge events that were sent long enough ago."""

from datetime import timedelta
from time import monotonic
from typing import Final

from jangteo.core.relay import PurgeEvents
from jangteo.delivery.sender import Sender
from jangteo.storage.retention import read_purgeable

PURGE_INTERVAL_S: Final = 60.0
"""The pause after everything old enough has been purged."""


class Retention:
    """Purges in chunks, from the oldest event batch on, then pauses."""

    def __init__(self, sender: Sender, retention: timedelta) -> None:
        """Events are kept for `retention` after they were sent."""
        self._sender = sender
        self._retention = retention
        self._next_purge_at = 0.0
        self._looked_up_to = 0

    async def step(self) -> bool:
        """Purge a chunk and return whether there may be more. Raises what `Sender.query` and `submit` raise."""
        if monotonic() < self._next_purge_at:
            return False
        chunk = await self._sender.query(read_purgeable, self._looked_up_to, self._retention)
        if chunk is None:
            self._looked_up_to, self._next_purge_at = 0, monotonic() + PURGE_INTERVAL_S
            return False
        if chunk.event_batches:
            await self._sender.submit(PurgeEvents(chunk.event_batches, self._retention.total_seconds()))
        self._looked_up_to = chunk.looked_up_to
        return True
