"""Liveness and readiness."""

from typing import Literal

from msgspec import Struct

from jangteo.core.health import CheckWritable


class Live(Struct, frozen=True):
    """The process answers."""

    status: Literal["live"] = "live"


def live() -> Live:
    """Return that the process is up."""
    return Live()


def ready() -> CheckWritable:
    """Write to the database to find out whether it can be written."""
    return CheckWritable()
