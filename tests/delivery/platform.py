"""A platform in this process that does as a test tells it, and tells what it was sent."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.faults.customers import local_id

Answer = Callable[[dict[str, Any]], str | None]


class Platform:
    """A sink. `rejects` says why it rejects an event, or None; `fails` is raised instead of any answer."""

    def __init__(self) -> None:
        self.rejects: Answer = lambda _: None
        self.fails: Exception | None = None
        self.sent: list[str] = []
        """The facts that it has taken, in order."""
        self.asked = 0
        """How often it was sent something."""
        self._changed = threading.Condition()

    async def send(self, events: Sequence[bytes]) -> Mapping[int, str]:
        decoded = [json.loads(event) for event in events]
        with self._changed:
            self.asked += 1
            self._changed.notify_all()
            if self.fails is not None:
                raise self.fails
            rejected = {place: why for place, event in enumerate(decoded) if (why := self.rejects(event))}
            self.sent += [local_id(event["id"]) for place, event in enumerate(decoded) if place not in rejected]
        orders = [event["subject"] for event in decoded]
        assert len(set(orders)) == len(orders), "two events of one order were sent together"
        return rejected

    async def close(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def wait_until(self, what: Callable[[Platform], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: what(self), 30), (self.sent, self.asked)
