"""The key ring: all API keys in the memory of a serving process, and what is known of them elsewhere within a second.

The database is asked several times a second whether keys were created or revoked; if so, all are read again. Where that
was too long ago (the event loop or the database was busy), a request waits until it has been asked anew: a revoked key
is never admitted a second later.
"""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from hashlib import sha256
from hmac import compare_digest
from time import monotonic
from typing import Final

import structlog

from jangteo.api.access.refusals import unauthenticated
from jangteo.core.entities import ApiKey
from jangteo.core.keys import RecordKeyUse
from jangteo.engine.caller import Caller
from jangteo.engine.commands import Commands
from jangteo.engine.key_secrets import PresentedKey, parse_key
from jangteo.engine.reads import Reads
from jangteo.engine.worker_pool import Overloaded, Stopped
from jangteo.storage.errors import Unavailable
from jangteo.storage.keys import KeysVersion, read_all_keys, read_keys_version
from jangteo.storage.port import Query

log = structlog.get_logger()

REFRESH_EVERY_S: Final = 0.3
FRESH_FOR_S: Final = 0.9
"""How old what is known of the keys may be."""
MISS_PAUSE_S: Final = 0.05
"""The least time between two refreshes for keys that are not known."""
RECORD_EVERY: Final = 20
"""After how many refreshes the uses of keys are recorded: every few seconds; a key's at most once a minute."""


class KeyRing:
    """The keys of a shop."""

    def __init__(self, commands: Commands, reads: Reads, clock: Callable[[], datetime]) -> None:
        self._commands = commands
        self._reads = reads
        self._clock = clock
        self._keys: Mapping[int, ApiKey] = {}
        self._callers: dict[int, Caller] = {}
        self._verified: dict[bytes, ApiKey] = {}
        """The keys that were presented since all were read, by digests of what was presented."""
        self._version: KeysVersion | None = None
        self._fresh_until = 0.0
        self._used: set[int] = set()
        """The keys that were used since uses were recorded."""
        self._recorded: dict[int, datetime] = {}
        """The minute in which each key's use was last recorded."""
        self._refreshing: asyncio.Task[None] | None = None
        self._next_miss_at = 0.0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to read the keys. Called on the event loop, once queries can be executed."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Record the last uses, and stop."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            await self._record_uses()

    def find(self, credential: bytes) -> Caller | None:
        """Return the caller of a key that was verified before and is still valid; otherwise `identify` says more."""
        if monotonic() > self._fresh_until:
            return None
        # By a digest, so that how long it takes says nothing about a key.
        key = self._verified.get(sha256(credential).digest())
        return None if key is None or self._end_of(key) is not None else self._admit(key)

    def knows(self, credential: bytes) -> bool:
        """Return whether this is one of the keys, as far as is known here; it may have ended."""
        presented = parse_key(credential)
        return presented is not None and self._match(presented) is not None

    async def identify(self, credential: bytes) -> Caller:
        """Return the caller of a key, reading the keys anew where it is not known.

        Raises `unauthenticated` if it isn't valid, Unavailable or Overloaded if the keys can't be read.
        """
        presented = parse_key(credential)
        if presented is None:
            raise unauthenticated("This is no API key: keys look like jt_1_ and 43 characters")
        asked_at = monotonic()
        while asked_at > self._fresh_until:
            # More than once if the read that was under way had begun too long ago.
            await self.refresh()
        if presented.key_id not in self._keys:
            await self._look_again()
        key = self._match(presented)
        if key is None:
            raise unauthenticated("There is no such API key")
        end = self._end_of(key)
        if end is not None:
            raise unauthenticated(end)
        self._verified[sha256(credential).digest()] = key
        return self._admit(key)

    async def refresh(self) -> None:
        """Read the keys anew if any was created or revoked; those who wait at the same time share one read.

        Raises Unavailable or Overloaded.
        """
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.get_running_loop().create_task(self._read())
        await asyncio.shield(self._refreshing)

    async def _read(self) -> None:
        begun_at = monotonic()
        version = await self._reads.run(Query(read_keys_version))
        if version != self._version:
            begun_at = monotonic()
            self._version, self._keys = await self._reads.run(Query(read_all_keys))
            self._verified = {}
            self._callers = {
                key_id: Caller("key", str(key_id), scopes=frozenset(key.scopes)) for key_id, key in self._keys.items()
            }
        self._fresh_until = begun_at + FRESH_FOR_S

    async def _look_again(self) -> None:
        """Read anew for a key that may just have been created, but not more often than that harms nobody."""
        pause = self._next_miss_at - monotonic()
        if pause > 0:
            await asyncio.sleep(pause)
        if self._refreshing is not None and not self._refreshing.done():
            # It may have begun before the key was created.
            await asyncio.shield(self._refreshing)
        self._next_miss_at = monotonic() + MISS_PAUSE_S
        await self.refresh()

    async def _run(self) -> None:
        count = 0
        while True:
            try:
                await self.refresh()
                if count % RECORD_EVERY == 0:
                    await self._record_uses()
            except (Unavailable, Overloaded, Stopped) as error:
                log.info("API keys not read", reason=str(error))
            count += 1
            await asyncio.sleep(REFRESH_EVERY_S)

    def _match(self, presented: PresentedKey) -> ApiKey | None:
        """Return the key whose secret was presented. The comparison takes as long for any wrong secret."""
        key = self._keys.get(presented.key_id)
        return key if key is not None and compare_digest(key.digest, presented.digest) else None

    def _end_of(self, key: ApiKey) -> str | None:
        """Return why a key isn't valid any more; None if it is."""
        if key.revoked_at is not None:
            return "This API key was revoked"
        if key.ends_at is not None and key.ends_at <= self._clock():
            return "This API key has ended"
        return None

    def _admit(self, key: ApiKey) -> Caller:
        self._used.add(key.key_id)
        return self._callers[key.key_id]

    async def _record_uses(self) -> None:
        """Record which keys were used, beside the commands of requests; what fails is recorded another time."""
        minute = self._clock().replace(second=0, microsecond=0)
        new = [key_id for key_id in sorted(self._used) if self._recorded.get(key_id) != minute]
        used, self._used = self._used, set()
        if not new:
            return
        try:
            await self._commands.submit(RecordKeyUse(tuple(new)))
        except (Unavailable, Overloaded, Stopped):
            self._used |= used
        else:
            self._recorded |= dict.fromkeys(new, minute)
