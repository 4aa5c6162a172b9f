"""Whether the process is up, and whether the shop can take orders."""

from typing import Literal

from msgspec import Struct

from jangteo.core.health import CheckWritable


class Live(Struct, frozen=True):
    """The process answers."""

    status: Literal["live"] = "live"


def live() -> Live:
    """Tell that the process is up."""
    return Live()


def ready() -> CheckWritable:
    """Tell whether the database can be written just now: it is written to find out."""
    return CheckWritable()
