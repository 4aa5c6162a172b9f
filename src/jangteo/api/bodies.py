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
