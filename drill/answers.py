"""What customers ask for, and what they were answered."""

from typing import Any, Literal

from msgspec import Struct

Kind = Literal["order", "charge", "coupon", "user"]
Identity = tuple[int | str, ...]
"""What makes one thing in the shop unlike any other of its kind, and right: see `Request.identity`."""


class Request(Struct, frozen=True):
    """A POST with its idempotency key. `owner` is the user's id, or the name of a new user."""

    kind: Kind
    key: str
    path: str
    body: dict[str, Any]
    owner: int | str

    def identity(self, answer: dict[str, Any]) -> Identity:
        """Return what the answer to this request has promised.

        An order is its id, user and total; a charge its user and an amount that no other charge of that user has; a
        coupon its id, user and campaign; a user the id and a name that no other user has.
        """
        match self.kind:
            case "order":
                return answer["orderId"], self.owner, answer["total"]
            case "charge":
                return self.owner, self.body["amount"]
            case "coupon":
                return answer["couponId"], self.owner, self.body["campaignId"]
            case "user":
                return answer["userId"], self.owner


class Acknowledged(Struct, frozen=True):
    """A request that was answered with success, at seconds since 1970."""

    kind: Kind
    identity: Identity
    owner: int | str
    at: float


class Failure(Struct, frozen=True):
    """An attempt that was not answered with success, at seconds since 1970, and why."""

    at: float
    reason: str
