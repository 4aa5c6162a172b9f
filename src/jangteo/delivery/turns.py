"""Whose turn it is to tell the platform: one relay's of all that serve a shop, and another's when that one is gone."""

import asyncio
import fcntl
import os
from pathlib import Path
from typing import Final, Protocol
from uuid import uuid4

import msgspec
import structlog

from jangteo.core.upkeep import HoldRelay
from jangteo.core.upkeep import Turn as Answered
from jangteo.engine.committing import Committing
from jangteo.engine.lane import Overloaded, Stopped
from jangteo.storage.errors import Unavailable

log = structlog.get_logger()

TURN_S: Final = 5.0
RENEWED_EVERY_S: Final = 1.5


class Turn(Protocol):
    """One relay's way to its turn."""

    async def is_mine(self) -> bool:
        """Whether it is: asked for, or renewed, where that is due. Raises Unavailable, Overloaded and Stopped."""

    async def give_back(self) -> None:
        """Another may have it at once. Never raises."""


class LeasedTurn:
    """A turn in the database, for some seconds, renewed as long as its holder lives and reaches the database."""

    def __init__(self, committing: Committing) -> None:
        self._committing = committing
        self._name = uuid4().hex
        self._renewed_at: float | None = None

    async def is_mine(self) -> bool:
        """As the database says, not longer ago than it is renewed."""
        now = asyncio.get_running_loop().time()
        if self._renewed_at is None or now - self._renewed_at > RENEWED_EVERY_S:
            had_it, self._renewed_at = self._renewed_at is not None, None
            told = await self._committing.submit(HoldRelay(self._name, TURN_S))
            if msgspec.json.decode(told.body, type=Answered).held:
                # From before it was asked for: here it ends a little earlier than there.
                self._renewed_at = now
            elif had_it:
                log.warning("another relay has taken over")
        return self._renewed_at is not None

    async def give_back(self) -> None:
        """Without waiting for its end."""
        if self._renewed_at is None:
            return
        self._renewed_at = None
        try:
            await self._committing.submit(HoldRelay(self._name, 0))
        except (Overloaded, Stopped, Unavailable):
            # It ends by itself.
            return


class LockedTurn:
    """A turn by the lock of a file, for a shop that is one file itself: free as soon as its holder has ended."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock: int | None = None

    async def is_mine(self) -> bool:
        """As long as this process lives. Raises Unavailable where the file can't be had at all."""
        if self._lock is not None:
            return True
        try:
            lock = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise Unavailable(f"{self._path} can't be written: {error.strerror}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return False
        self._lock = lock
        return True

    async def give_back(self) -> None:
        """The next one has it."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
