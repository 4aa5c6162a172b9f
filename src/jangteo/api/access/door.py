"""The door of a shop that is not open to all: it finds out who sends a request, and whether they may make the call."""

import asyncio
import re
from typing import Any, Final

import msgspec
from msgspec import UNSET

from jangteo.api import problems
from jangteo.api.access.customers import Customers
from jangteo.api.access.key_ring import KeyRing
from jangteo.api.access.limiter import Limiter
from jangteo.api.access.refusals import forbidden, not_for_customers, not_yours, unauthenticated
from jangteo.api.access.rules import Access
from jangteo.api.http.messages import Request
from jangteo.api.requests import Malformed, Rejected
from jangteo.api.route import Route
from jangteo.engine.caller import OPEN, Caller

HOLD_FAILED_S: Final = 0.5
"""How late an address that has tried too many wrong credentials is refused further ones."""
_BEARER: Final = re.compile(rb"bearer +(?P<credential>[!-~]+) *", re.IGNORECASE)


class Door:
    """Admits callers."""

    def __init__(
        self,
        ring: KeyRing,
        customers: Customers,
        limiter: Limiter,
        *,
        public_reads: bool = True,
        customers_cancel: bool = True,
    ) -> None:
        """`customers_cancel`: whether customers may cancel their orders."""
        self._ring = ring
        self._customers = customers
        self._limiter = limiter
        self._public_reads = public_reads
        self._customers_cancel = customers_cancel

    async def identify(self, request: Request, access: Access) -> Caller:
        """Return who sends a request, before `check`. Raises Rejected if that is nobody, and Unavailable."""
        if access.public == "always":
            return OPEN
        credential = _credential(request)
        if credential is None:
            if access.public == "reads" and self._public_reads:
                return OPEN
            raise unauthenticated()
        caller = self._ring.find(credential) or self._customers.remembered(credential)
        return await self._identify(request, credential) if caller is None else caller

    def check(self, caller: Caller, access: Access) -> None:
        """Check that the caller may make a call. Raises Rejected."""
        if caller.kind == "customer":
            denied = access.scope == "orders:cancel" and not self._customers_cancel
            if access.customers == "none" or denied:
                raise not_for_customers(access.scope)
        elif access.scope is not None and access.scope not in caller.scopes:
            if access.public == "reads" and self._public_reads:
                return
            raise forbidden(access.scope, f"This key lacks the scope `{access.scope}`")

    async def _identify(self, request: Request, credential: bytes) -> Caller:
        """Find out whose credential it is. An address that has tried too many wrong ones must wait."""
        is_key = credential.startswith(b"jt_")
        if not (is_key and self._ring.knows(credential)):
            try:
                self._limiter.check_attempt(request)
            except Rejected:
                # So that a flood waits instead of having the event loop answer it as fast as it comes.
                await asyncio.sleep(HOLD_FAILED_S)
                raise
        try:
            return await (self._ring.identify(credential) if is_key else self._customers.caller_of(credential))
        except Rejected as refusal:
            if refusal.kind is problems.UNAUTHENTICATED:
                self._limiter.count_failed(request)
            raise


def as_own(caller: Caller, route: Route, arguments: list[Any]) -> dict[str, int]:
    """Hold a call's arguments against the customer who makes it; return what the endpoint is given besides.

    A body's `userId` that is left out becomes the customer's. Raises `not_yours` if another user is named, Malformed if
    none is and the caller is no customer.
    """
    customers = route.access.customers
    if customers == "own-order" and caller.user_id is not None:
        return {"customer_id": caller.user_id}
    if customers == "own":
        if route.ids:
            _check_own(caller, arguments[0])
        else:
            arguments[-1] = _with_user(caller, arguments[-1])
    return {}


def _with_user(caller: Caller, body: Any) -> Any:
    if body.user_id is UNSET:
        if caller.user_id is None:
            raise Malformed("userId", "Object missing required field `userId`")
        return msgspec.structs.replace(body, user_id=caller.user_id)
    _check_own(caller, body.user_id)
    return body


def _check_own(caller: Caller, user_id: int) -> None:
    if caller.user_id is not None and caller.user_id != user_id:
        raise not_yours(user_id)


def _credential(request: Request) -> bytes | None:
    """Return the request's bearer credential, if it has one. Raises `unauthenticated` if it is no such credential."""
    found = [value for name, value in request.headers if name == b"authorization"]
    if not found:
        return None
    credential = _BEARER.fullmatch(found[0])
    if credential is None or len(found) > 1:
        raise unauthenticated("`Authorization` must be given once, as `Bearer` and an API key or a token")
    return credential["credential"]
