"""Actors: who did something, as it is kept with every effect. `key:3` is an API key, `customer:7` a user."""

from typing import Annotated, Final

from msgspec import Meta

OPEN_ACTOR: Final = "open"
"""Anyone who reached the port of a shop that is open to all."""
CLI_ACTOR: Final = "cli"
"""An operator on the shop's machine."""

Actor = Annotated[str, Meta(description="Who did it: `key:3` is an API key, `customer:7` a user, `cli` an operator.")]
