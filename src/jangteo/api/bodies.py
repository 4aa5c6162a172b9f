"""What request bodies have in common: they are read strictly, and may be empty where there is nothing to say."""

from typing import Annotated, Final

from msgspec import UNSET, Meta, Struct, UnsetType

from jangteo.core.limits import LARGEST

DEFAULT_PAGE: Final = 100
LARGEST_PAGE: Final = 1000

Limit = Annotated[int, Meta(ge=1, le=LARGEST_PAGE, description="So many at the most.")]
After = Annotated[
    int,
    Meta(ge=0, le=LARGEST, description="Go on behind the item with this id: see `Link: rel=next`."),
]


class Body(Struct, rename="camel", forbid_unknown_fields=True):
    """A request body: a JSON object with just the fields that are documented."""


class NoBody(Body):
    """Nothing to say: leave the body out, or send `{}`."""


class Paging(Body):
    """Which part of a list."""

    limit: Limit = DEFAULT_PAGE
    after: After | UnsetType = UNSET


class WholeOrPaged(Body):
    """The whole list, or which part of it."""

    limit: Limit | UnsetType = UNSET
    after: After | UnsetType = UNSET
