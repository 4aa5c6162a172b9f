"""The relay's lease: of all relays of a shop only the leader sends, and another takes over when it is gone.

A task of its own renews the lease, whatever else the relay waits for. A leader that can't renew it stops sending when
the lease expires, without asking anyone. Expiry is measured with the local monotonic clock.
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
RENEW_INTERVAL_S: Final = 1.5
_SAFETY_MARGIN_S: Final = 0.5
"""The leader regards its lease as expired this much before the database does."""


class RelayLease:
    """One relay's lease. Subclasses say how it is acquired, renewed and released."""

    def __init__(self) -> None:
        self._expires_at = -math.inf
        self._acquired = asyncio.Event()
        self._renewing: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Acquire the lease as soon as it is free, and keep renewing it."""
        self._renewing = asyncio.create_task(self._acquire_and_renew())

    @property
    def remaining_s(self) -> float:
        """Seconds until the lease expires; 0 when this relay doesn't hold it."""
        return max(self._expires_at - monotonic(), 0.0)

    async def wait_until_held(self) -> None:
        """Wait until this relay holds the lease."""
        while not self.remaining_s:
            self._acquired.clear()
            await self._acquired.wait()

    async def release(self) -> None:
        """Stop renewing, and let another relay acquire the lease at once. Never raises."""
        if self._renewing is None:
            return
        self._renewing.cancel()
        await asyncio.gather(self._renewing, return_exceptions=True)
        self._expires_at = -math.inf
        await self._release()

    async def _acquire_and_renew(self) -> None:
        while True:
            try:
                # A request without an answer within the ttl is repeated: the lease it may have got has expired by then.
                async with asyncio.timeout(LEASE_TTL_S):
                    expires_at = await self._request()
            except Stopped:
                return
            except Exception as error:  # noqa: BLE001 - whatever it is, the next attempt may succeed
                log.warning("lease request failed", reason=str(error) or type(error).__name__)
            else:
                if expires_at is None and self.remaining_s:
                    log.warning("lease lost to another relay")
                self._expires_at = -math.inf if expires_at is None else expires_at
                if self.remaining_s:
                    self._acquired.set()
            await asyncio.sleep(RENEW_INTERVAL_S)

    async def _request(self) -> float | None:
        """Acquire or renew: return when the lease expires by the monotonic clock; None if another relay holds it."""
        raise NotImplementedError

    async def _release(self) -> None:
        raise NotImplementedError


class DatabaseLease(RelayLease):
    """A lease in the database that expires a few seconds after its holder dies or loses the database."""

    def __init__(self, commands: Commands) -> None:
        super().__init__()
        self._commands = commands
        self._holder = uuid4().hex

    async def _request(self) -> float | None:
        requested_at = monotonic()
        command = RenewLease if self.remaining_s else AcquireLease
        outcome = await self._commands.submit(command(self._holder, LEASE_TTL_S))
        held = msgspec.json.decode(outcome.body, type=LeaseOutcome).held
        return requested_at + LEASE_TTL_S - _SAFETY_MARGIN_S if held else None

    async def _release(self) -> None:
        # If that fails, the lease expires.
        with suppress(Overloaded, Stopped, Unavailable):
            await self._commands.submit(ReleaseLease(self._holder))


class FileLease(RelayLease):
    """A lease by locking a file, for a shop in one file: it never expires, and is free as soon as its holder ends."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._descriptor: int | None = None

    async def _request(self) -> float | None:
        if self._descriptor is not None:
            return math.inf
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return math.inf

    async def _release(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)
