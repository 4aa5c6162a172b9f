"""Waiting for something within a limit."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Final

_PAUSE_S: Final = 0.1


class DrillFailed(Exception):
    """The drill can't go on: what was awaited did not happen, or something is missing."""


async def until(condition: Callable[[], Awaitable[bool] | bool], what: str, timeout_s: float) -> None:
    """Wait until the condition holds. Raises DrillFailed, with `what` was awaited, after `timeout_s` seconds."""
    deadline = monotonic() + timeout_s
    while True:
        held = condition()
        if held if isinstance(held, bool) else await held:
            return
        if monotonic() > deadline:
            raise DrillFailed(f"not within {timeout_s:.0f} s: {what}")
        await asyncio.sleep(_PAUSE_S)
