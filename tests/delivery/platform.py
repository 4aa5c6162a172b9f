"""A platform inside the test process: it behaves as the test says and records what it was sent."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.faults.customers import local_id

Verdict = Callable[[dict[str, Any]], str | None]


class Platform:
    """A sink. `rejects` returns why an event is rejected, or None; `fails` is raised by every call if it is set."""

    def __init__(self) -> None:
        self.rejects: Verdict = lambda _: None
        self.fails: Exception | None = None
        self.sent: list[str] = []
        """The facts of accepted events, in order."""
        self.calls = 0
        """How often `send` was called."""
        self._changed = threading.Condition()

    async def send(self, events: Sequence[bytes]) -> Mapping[int, str]:
        decoded = [json.loads(event) for event in events]
        with self._changed:
            self.calls += 1
            self._changed.notify_all()
            if self.fails is not None:
                raise self.fails
            rejected = {index: reason for index, event in enumerate(decoded) if (reason := self.rejects(event))}
            self.sent += [local_id(event["id"]) for index, event in enumerate(decoded) if index not in rejected]
        orders = [event["subject"] for event in decoded]
        assert len(set(orders)) == len(orders), "two events of one order were sent together"
        return rejected

    async def probe(self) -> str:
        return "in this process"

    async def close(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def wait_until(self, condition: Callable[[Platform], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: condition(self), 30), (self.sent, self.calls)
