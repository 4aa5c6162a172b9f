"""An identity provider's keys, kept in memory: loaded beside the requests, and kept through the provider's outages."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Final

import structlog
from jwt import PyJWK

from jangteo.api.access.json_web_keys import InvalidKeySet, KeySet, read_key_set
from jangteo.api.access.key_source import Load

log = structlog.get_logger()

RELOAD_MIN_S: Final = 60.0
"""An unknown key id has the keys loaded again, but not sooner than this after the last time."""
FIRST_LOAD_MIN_S: Final = 5.0
"""The same while there are no keys at all."""
FRESH_S: Final = 300.0
"""Older keys are loaded again beside the next request, so that a key that the provider has withdrawn ends here."""


class KeysUnavailable(Exception):
    """No keys could be loaded yet, so no token can be verified."""


class CachedKeys:
    """The keys of one provider. Used on one event loop."""

    def __init__(self, load: Load, clock: Callable[[], float] = monotonic) -> None:
        """`load` is called in a thread of its own; `clock` is in seconds."""
        self._load = load
        self._clock = clock
        self._keys: KeySet | None = None
        self._raw = b""
        self._loaded_at = self._tried_at = -RELOAD_MIN_S
        self._loading: asyncio.Task[None] | None = None
        self.version = 0
        """Raised whenever the keys have changed."""

    async def find(self, key_id: str | None) -> PyJWK | None:
        """Return a key; where it isn't known, after loading the keys again. Raises KeysUnavailable."""
        if self._keys is None:
            await self._reload(FIRST_LOAD_MIN_S)
            if self._keys is None:
                raise KeysUnavailable
        elif self._clock() - self._loaded_at > FRESH_S:
            self._begin_reload(RELOAD_MIN_S)
        key = self._keys.find(key_id)
        if key is None:
            await self._reload(RELOAD_MIN_S)
            key = self._keys.find(key_id)
        return key

    async def _reload(self, interval_s: float) -> None:
        self._begin_reload(interval_s)
        if self._loading is not None:
            await asyncio.shield(self._loading)

    def _begin_reload(self, interval_s: float) -> None:
        """Begin to load, unless that is being done, or was done or tried less than `interval_s` ago."""
        now = self._clock()
        if self._loading is None and now - self._tried_at >= interval_s:
            self._tried_at = now
            self._loading = asyncio.get_running_loop().create_task(self._load_keys())

    async def _load_keys(self) -> None:
        try:
            raw = await _in_thread(self._load)
            keys = read_key_set(raw)
        except (OSError, ValueError, InvalidKeySet) as error:
            kept = "the last good keys are kept" if self._keys is not None else "no customer token can be verified"
            log.warning("identity provider's keys not loaded", error=str(error), consequence=kept)
        else:
            self._loaded_at = self._clock()
            if raw != self._raw:
                self._raw, self._keys = raw, keys
                self.version += 1
        finally:
            self._loading = None


async def _in_thread(load: Load) -> bytes:
    """Run in a daemon thread, which a closing server doesn't wait for."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[bytes] = loop.create_future()

    def finish(raw: bytes | None, error: Exception | None) -> None:
        if result.done():
            return
        if error is not None:
            result.set_exception(error)
        else:
            result.set_result(raw or b"")

    def run() -> None:
        try:
            done: tuple[bytes | None, Exception | None] = load(), None
        except Exception as error:  # noqa: BLE001 - raised on the event loop
            done = None, error
        with suppress(RuntimeError):  # The event loop is closed.
            loop.call_soon_threadsafe(finish, *done)

    threading.Thread(target=run, name="keys", daemon=True).start()
    return await result
