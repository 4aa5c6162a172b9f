"""The connections of one process: how many there may be, and how long each may wait in its state."""

import asyncio
from typing import Final, Protocol

from jangteo.api.http.allowance import Allowance
from jangteo.api.http.bounds import Bounds

_SWEEP_S: Final = 0.1


class Connection(Protocol):
    """What waits in a state."""

    def expire(self, state: "State") -> None:
        """Act on having been in a state for as long as it may last."""

    def abort(self) -> None:
        """Close at once."""


class State:
    """A state of connections that may last only so long. Those that wait in it, the longest first."""

    def __init__(self, timeout_s: float, loop: asyncio.AbstractEventLoop) -> None:
        self._timeout_s = timeout_s
        self._loop = loop
        self._since: dict[Connection, float] = {}

    def add(self, connection: Connection) -> None:
        """Let a connection begin to wait."""
        self._since[connection] = self._loop.time()

    def remove(self, connection: Connection) -> None:
        """End the wait of a connection."""
        del self._since[connection]

    def oldest(self) -> Connection | None:
        """Return the connection that has waited longest; None if there is none."""
        return next(iter(self._since), None)

    def expire(self) -> None:
        """Have those act that have waited long enough. Each leaves the state, or begins to wait anew."""
        latest = self._loop.time() - self._timeout_s
        for connection in [each for each, since in self._since.items() if since <= latest]:
            connection.expire(self)


class Connections:
    """All connections of a process. One above the most that there may be takes the place of one that only waits."""

    def __init__(self, loop: asyncio.AbstractEventLoop, bounds: Bounds, most: int) -> None:
        self._loop = loop
        self._most = most
        self._all: set[Connection] = set()
        self._is_sweeping = False
        self.allowance = Allowance(bounds.large_bodies_max_bytes)
        """What their large bodies may take together."""
        self.idle = State(bounds.keep_alive_timeout_s, loop)
        """Waiting for a request, after an answer."""
        self.arriving = State(bounds.arrival_timeout_s, loop)
        """A request is on its way, or the first one is yet to come."""
        self.sending = State(bounds.sending_timeout_s, loop)
        """The client does not read what was sent to it."""
        self.closing = State(bounds.closing_timeout_s, loop)
        """Answered for the last time; what still comes is dropped."""

    def admit(self, connection: Connection) -> bool:
        """Count a new connection in. False: all there are have requests that are being answered.

        It is counted even then, until it is closed, which it is before others if more come.
        """
        self._all.add(connection)
        if not self._is_sweeping:
            self._is_sweeping = True
            self._loop.call_later(_SWEEP_S, self.sweep)
        while len(self._all) > self._most:
            waiting = self.closing.oldest() or self.idle.oldest() or self.arriving.oldest()
            if waiting is None:
                return False
            self._all.discard(waiting)
            waiting.abort()
        return True

    def remove(self, connection: Connection) -> None:
        """Count a closed connection out."""
        self._all.discard(connection)

    def sweep(self) -> None:
        """Have those act that have waited long enough in their state. It repeats itself."""
        for state in (self.idle, self.arriving, self.sending, self.closing):
            state.expire()
        self._is_sweeping = bool(self._all)
        if self._is_sweeping:
            self._loop.call_later(_SWEEP_S, self.sweep)
