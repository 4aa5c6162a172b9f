"""Applies the rate limits to requests: whose request it is, and what the answer says of the limit."""

from typing import Final

from jangteo.api import problems
from jangteo.api.access.client_address import ClientAddresses
from jangteo.api.access.rate import LimitedKind
from jangteo.api.access.rate_limits import RateLimits, Standing
from jangteo.api.http.messages import Request
from jangteo.api.requests import Rejected
from jangteo.engine.caller import Caller

_FAILED: Final = "Too many requests with wrong credentials came from this address"


class Limiter:
    """Counts requests. Nothing of a refused one is executed."""

    def __init__(self, limits: RateLimits, addresses: ClientAddresses) -> None:
        self._limits = limits
        self._addresses = addresses

    def count(self, request: Request, caller: Caller) -> Standing | None:
        """Count a request of a caller; return what is left of its rate, None without one. Raises Rejected."""
        kind = _kind_of(caller)
        if not self._limits.has(kind):
            return None
        standing = self._limits.take(kind, caller.id or self._addresses.find(request))
        if not standing.allowed:
            raise _too_many(standing, problems.TOO_MANY_REQUESTS.meaning)
        return standing

    def look(self, request: Request, caller: Caller) -> Standing | None:
        """Return what is left of a caller's rate, None without one, and count nothing."""
        kind = _kind_of(caller)
        if not self._limits.has(kind):
            return None
        return self._limits.look(kind, caller.id or self._addresses.find(request))

    def check_attempt(self, request: Request) -> None:
        """Check that the address may try credentials that aren't known. Raises Rejected."""
        standing = self._limits.too_many_failed(self._addresses.find(request))
        if standing is not None:
            raise _too_many(standing, _FAILED)

    def count_failed(self, request: Request) -> None:
        """Count a request with wrong credentials."""
        self._limits.count_failed(self._addresses.find(request))


def _kind_of(caller: Caller) -> LimitedKind:
    return "key" if caller.kind == "key" else "customer" if caller.kind == "customer" else "address"


def _too_many(standing: Standing, detail: str) -> Rejected:
    return Rejected(problems.TOO_MANY_REQUESTS, detail, headers=(standing.retry_after(), *standing.headers()))
