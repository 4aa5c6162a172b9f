"""What request bodies share: they are parsed strictly, and may be empty where no field is required."""

from typing import Annotated, Final

from msgspec import UNSET, Meta, Struct, UnsetType

from jangteo.core.limits import LARGEST

DEFAULT_LIMIT: Final = 100
MAX_LIMIT: Final = 1000

Limit = Annotated[int, Meta(ge=1, le=MAX_LIMIT, description="The most items to return.")]
After = Annotated[
    int,
    Meta(ge=0, le=LARGEST, description="Continue after the item with this id: see the `Link: rel=next` header."),
]


OwnId = Annotated[int, Meta(ge=1, le=LARGEST, description="A customer may leave out their own.")] | UnsetType
"""The user whom a call is about; `api.access.door.as_own` sets what a customer leaves out, and misses it of others."""


def given(user_id: int | UnsetType) -> int:
    """Return the id that the door has seen to."""
    if user_id is UNSET:
        raise TypeError("the door lets no call in without its user")
    return user_id


class Body(Struct, rename="camel", forbid_unknown_fields=True):
    """A request body: a JSON object with the documented fields only."""


class NoBody(Body):
    """No fields: leave the body out, or send `{}`."""


class Paging(Body):
    """Which page of a list to return."""

    limit: Limit = DEFAULT_LIMIT
    after: After | UnsetType = UNSET


class OptionalPaging(Body):
    """Which page of a list to return; without a limit, all of it."""

    limit: Limit | UnsetType = UNSET
    after: After | UnsetType = UNSET
