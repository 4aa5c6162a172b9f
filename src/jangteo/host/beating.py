"""The beat of a process with an event loop: it stops when the loop stands still."""

import asyncio

from jangteo.lifeline import BEAT_EVERY_S, Lifeline


async def beat(lifeline: Lifeline) -> None:
    """Tell the supervisor every second that the event loop goes on."""
    while True:
        lifeline.beat()
        await asyncio.sleep(BEAT_EVERY_S)
