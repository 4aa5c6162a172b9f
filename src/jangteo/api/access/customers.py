"""Customers as callers: whom a token is for, or why it is nobody's."""

from jangteo.api import problems
from jangteo.api.access.cached_keys import KeysUnavailable
from jangteo.api.access.customer_tokens import CustomerTokens, InvalidToken
from jangteo.api.access.refusals import unauthenticated
from jangteo.api.requests import Rejected
from jangteo.engine.caller import Caller


class Customers:
    """Finds the customers of tokens."""

    def __init__(self, tokens: CustomerTokens) -> None:
        self._tokens = tokens

    def remembered(self, token: bytes) -> Caller | None:
        """Return the customer of a token that was verified before and is still valid."""
        user_id = self._tokens.remembered(token)
        return None if user_id is None else _caller(user_id)

    async def caller_of(self, token: bytes) -> Caller:
        """Return the customer. Raises Rejected: `unauthenticated`, or unavailable where the keys can't be read."""
        try:
            return _caller(await self._tokens.verify(token))
        except InvalidToken as error:
            raise unauthenticated(f"The token isn't valid: {error}") from None
        except KeysUnavailable:
            detail = "The keys that verify customers' tokens can't be read at the moment"
            raise Rejected(problems.UNAVAILABLE, detail) from None


def _caller(user_id: int) -> Caller:
    return Caller("customer", str(user_id), user_id)
