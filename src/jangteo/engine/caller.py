"""The caller: who sent a request, as the door found out; owner of its idempotency keys, actor of its effects."""

from typing import Final, Literal

import msgspec

from jangteo.core.actors import CLI_ACTOR, OPEN_ACTOR


class Caller(msgspec.Struct, frozen=True):
    """Who sent a request, and what they may do."""

    kind: Literal["open", "key", "customer", "cli"]
    id: str = ""
    """The key's id, or the customer's user id as text; "" for open and cli."""
    user_id: int | None = None
    """The user that a customer is."""
    scopes: frozenset[str] = frozenset()

    @property
    def actor(self) -> str:
        """How the caller is named in what it did: `open`, `cli`, `key:3` or `customer:7`."""
        return f"{self.kind}:{self.id}" if self.id else self.kind


OPEN: Final = Caller(OPEN_ACTOR)
"""Anyone who reaches the port of a shop that is open to all."""
CLI: Final = Caller(CLI_ACTOR)
"""An operator on the shop's machine."""
