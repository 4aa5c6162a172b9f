"""Rate limits: how many requests each key, customer and address may send, and how many failed attempts.

Each limit is a token bucket, kept as the one time at which it is full again (GCRA), in memory that the front ends of a
host share (`full_times`). The library `limits` doesn't bound how many callers it keeps in memory, shares that only by a
server of its own, and took 1.5 to 3 times as long for a request.
"""

import time
from collections.abc import Callable, Mapping
from math import ceil
from typing import Final, NamedTuple

from jangteo.api.access.full_times import FullTimes, RateMemory
from jangteo.api.access.rate import KINDS, LimitedKind, Rate
from jangteo.api.http.messages import Header

TABLES: Final = len(KINDS) + 1
"""A table for each kind of callers, and one for failed attempts."""
FAILED_ATTEMPTS: Final = Rate(per_s=1.0, burst=60)
"""How many requests with wrong credentials an address may send."""


class Standing(NamedTuple):
    """What a caller has left of a rate, after a request."""

    kind: str
    rate: Rate
    allowed: bool
    remaining: int
    """How many requests may follow at once."""
    wait_s: float
    """Until the next request is allowed, if this one isn't; otherwise until all of the rate can be used again."""

    def headers(self) -> list[Header]:
        """Return the fields of draft-ietf-httpapi-ratelimit-headers-10."""
        policy = b'"%b";q=%d;w=%d' % (self.kind.encode(), self.rate.burst, self.rate.window_s)
        left = b'"%b";r=%d;t=%d' % (self.kind.encode(), self.remaining, ceil(self.wait_s))
        return [(b"ratelimit-policy", policy), (b"ratelimit", left)]

    def retry_after(self) -> Header:
        """Return the field that says when the next request is allowed."""
        return b"retry-after", b"%d" % max(ceil(self.wait_s), 1)


class Limit:
    """One rate for all callers of a kind."""

    def __init__(
        self, kind: str, rate: Rate, full_times: FullTimes, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`clock` is in seconds."""
        self._kind = kind
        self._rate = rate
        self._interval_s = 1 / rate.per_s
        self._depth_s = rate.burst * self._interval_s
        self._full_times = full_times
        self._clock = clock

    def take(self, caller: str) -> Standing:
        """Count a request, unless the caller has sent too many."""
        now = self._clock()
        full_at = max(self._full_times.get(caller), now) + self._interval_s
        allowed = full_at - now <= self._depth_s + 1e-9
        if allowed:
            self._full_times.put(caller, full_at)
        return self._standing(full_at if allowed else full_at - self._interval_s, now, allowed=allowed)

    def look(self, caller: str) -> Standing:
        """Return whether a request would be allowed, and count none."""
        now = self._clock()
        full_at = max(self._full_times.get(caller), now)
        return self._standing(full_at, now, allowed=full_at + self._interval_s - now <= self._depth_s + 1e-9)

    def _standing(self, full_at: float, now: float, *, allowed: bool) -> Standing:
        used_s = full_at - now
        remaining = max(int((self._depth_s - used_s) / self._interval_s + 1e-6), 0)
        wait_s = used_s if allowed else used_s + self._interval_s - self._depth_s
        return Standing(self._kind, self._rate, allowed, remaining, wait_s)


class RateLimits:
    """All limits of a host."""

    def __init__(
        self,
        rates: Mapping[LimitedKind, Rate],
        memory: RateMemory,
        failed_attempts: Rate = FAILED_ATTEMPTS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`rates` has no entry for a kind of callers that may send what they like. `memory` has `TABLES` tables."""
        self._limits = {kind: Limit(kind, rate, memory.table(KINDS.index(kind)), clock) for kind, rate in rates.items()}
        self._failed = Limit("failed-attempts", failed_attempts, memory.table(len(KINDS)), clock)

    def has(self, kind: LimitedKind) -> bool:
        """Return whether callers of a kind have a limit."""
        return kind in self._limits

    def take(self, kind: LimitedKind, caller: str) -> Standing:
        """Count a request of a caller whose kind has a limit."""
        return self._limits[kind].take(caller)

    def look(self, kind: LimitedKind, caller: str) -> Standing:
        """Return the standing of a caller whose kind has a limit, and count nothing."""
        return self._limits[kind].look(caller)

    def too_many_failed(self, address: str) -> Standing | None:
        """Return the standing of an address that has failed too often to try other credentials now; None if it may."""
        standing = self._failed.look(address)
        return None if standing.allowed else standing

    def count_failed(self, address: str) -> None:
        """Count a request with wrong credentials."""
        self._failed.take(address)
