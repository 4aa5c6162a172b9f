"""Whose turn it is to tell the platform: one relay's of all that serve a shop, and another's when that one is gone.

A turn is kept by a task of its own, whatever else the relay waits for, and is over when it could not be kept: nobody
has to be asked for that.
"""

import asyncio
import fcntl
import math
import os
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Final
from uuid import uuid4

import msgspec
import structlog

from jangteo.core.relay import AcquireLease, LeaseOutcome, ReleaseLease, RenewLease
from jangteo.engine.commands import Commands
from jangteo.engine.worker_pool import Overloaded, Stopped
from jangteo.storage.errors import Unavailable

log = structlog.get_logger()

LEASE_TTL_S: Final = 5.0
RENEW_EVERY_S: Final = 1.5
_MARGIN_S: Final = 0.5
"""So much earlier it ends here than there."""


class RelayLease:
    """One relay's way to its turn. What differs is how it is asked for."""

    def __init__(self) -> None:
        self._until = -math.inf
        self._taken = asyncio.Event()
        self._keeping: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Ask for it from here on, again and again."""
        self._keeping = asyncio.create_task(self._keep())

    @property
    def left_s(self) -> float:
        """So long it is ours yet; 0 where it is not."""
        return max(self._until - monotonic(), 0.0)

    async def wait(self) -> None:
        """Until it is ours."""
        while not self.left_s:
            self._taken.clear()
            await self._taken.wait()

    async def release(self) -> None:
        """Another may have it at once. Never raises."""
        if self._keeping is None:
            return
        self._keeping.cancel()
        await asyncio.gather(self._keeping, return_exceptions=True)
        self._until = -math.inf
        await self._let_go()

    async def _keep(self) -> None:
        while True:
            try:
                # Whoever doesn't answer is asked anew: what he was asked before comes to nothing then.
                until = await asyncio.wait_for(self._ask(), LEASE_TTL_S)
            except Stopped:
                return
            except Exception as error:  # noqa: BLE001 - whatever it is: it is asked for again as long as this lives
                log.warning("the relay's turn was not asked for", reason=str(error) or type(error).__name__)
            else:
                if until is None and self.left_s:
                    log.warning("another relay has taken over")
                self._until = -math.inf if until is None else until
                if self.left_s:
                    self._taken.set()
            await asyncio.sleep(RENEW_EVERY_S)

    async def _ask(self) -> float | None:
        """Until when it is ours, on this machine's clock; None where it is another's."""
        raise NotImplementedError

    async def _let_go(self) -> None:
        raise NotImplementedError


class DatabaseLease(RelayLease):
    """A turn in the database, for some seconds, renewed as long as its holder lives and reaches the database."""

    def __init__(self, commands: Commands) -> None:
        super().__init__()
        self._commands = commands
        self._name = uuid4().hex

    async def _ask(self) -> float | None:
        requested_at = monotonic()
        command = RenewLease if self.left_s else AcquireLease
        told = await self._commands.submit(command(self._name, LEASE_TTL_S))
        held = msgspec.json.decode(told.body, type=LeaseOutcome).held
        return requested_at + LEASE_TTL_S - _MARGIN_S if held else None

    async def _let_go(self) -> None:
        # Where that can't be done it ends by itself.
        with suppress(Overloaded, Stopped, Unavailable):
            await self._commands.submit(ReleaseLease(self._name))


class FileLease(RelayLease):
    """A turn by the lock of a file, for a shop that is one file itself: free as soon as its holder has ended."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._lock: int | None = None

    async def _ask(self) -> float | None:
        if self._lock is not None:
            return math.inf
        lock = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return None
        except BaseException:
            os.close(lock)
            raise
        self._lock = lock
        return math.inf

    async def _let_go(self) -> None:
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)
