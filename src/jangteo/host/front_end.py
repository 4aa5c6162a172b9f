"""A front end: serves HTTP and reads, and has the host's writers commit."""

import asyncio
import socket
from time import monotonic
from typing import Final

from jangteo.api.http import server
from jangteo.api.http.shutdown import Shutdown
from jangteo.app import SharedHost, Shop, tls_of
from jangteo.host.beating import beat
from jangteo.host.instructions import Instructions
from jangteo.lifeline import DRAIN, WINDOW, Lifeline

WINDOW_EVERY_S: Final = 1.0
"""How often the request for the same window is passed on."""


def run(instructions: Instructions, lifeline: Lifeline) -> None:
    """Serve until the supervisor ends this process, or is gone."""
    requests = _WindowRequests(lifeline)
    shop = Shop(
        instructions.settings,
        host=SharedHost(instructions.storage(), instructions.writer(), requests.pass_on, instructions.rate_memory()),
    )
    beating: list[asyncio.Task[None]] = []

    def make() -> Shop:
        shutdown = Shutdown(shop.drain, supervised=True)
        lifeline.listen(lambda line: shutdown.begin() if line == DRAIN else shutdown.end())
        beating.append(asyncio.get_running_loop().create_task(beat(lifeline)))
        return shop

    server.serve(make, socket.socket(fileno=instructions.listening), tls_of(instructions.settings))


class _WindowRequests:
    def __init__(self, lifeline: Lifeline) -> None:
        self._lifeline = lifeline
        self._next_at: dict[int, float] = {}

    def pass_on(self, days: int) -> None:
        now = monotonic()
        if now >= self._next_at.get(days, now):
            self._next_at[days] = now + WINDOW_EVERY_S
            self._lifeline.send(f"{WINDOW} {days}")
