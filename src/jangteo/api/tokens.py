"""Customer tokens over HTTP."""

from datetime import datetime
from typing import Annotated, Final

from msgspec import Meta, Struct

from jangteo.api.bodies import Body

LONGEST_S: Final = 86_400
_DEFAULT_S: Final = 3_600


class NewToken(Body):
    """A new customer token: for how long it is valid."""

    valid_seconds: Annotated[int, Meta(ge=1, le=LONGEST_S, description="At most 24 hours.")] = _DEFAULT_S


class CustomerToken(Struct, frozen=True, rename="camel"):
    """A token with which a customer's browser or app calls this shop, as `Authorization: Bearer`."""

    user_id: int
    token: str
    expires_at: datetime


class TokenRequest(Struct, frozen=True):
    """A request for a token for a user."""

    user_id: int
    valid_seconds: int


def create_token(user_id: int, body: NewToken) -> TokenRequest:
    """Create a token for a user, with which they may make a customer's calls."""
    return TokenRequest(user_id, body.valid_seconds)
