"""A state of a connection lasts its time; a process has as many connections as its descriptors allow."""

from __future__ import annotations

from typing import Any

import pytest

from jangteo.api.http.bounds import Bounds, Capacity, capacity_of
from jangteo.api.http.connections import Connections


@pytest.mark.parametrize(
    ("descriptors", "capacity"),
    [
        (150, Capacity(100, 50)),
        (1_000_000, Capacity(10_000, 2_048)),
        (5_000, Capacity(3_334, 1_666)),
        (3, Capacity(8, 1)),
        (-20, Capacity(8, 1)),
    ],
)
def test_descriptors_are_divided_between_connections_and_those_that_wait(descriptors: int, capacity: Capacity) -> None:
    assert capacity_of(descriptors) == capacity


class Loop:
    """An event loop's clock, moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def time(self) -> float:
        return self.now

    def call_later(self, *_: object) -> None:
        """Sweep when the test says so."""


class Waiting:
    def __init__(self, name: str, log: list[str]) -> None:
        self._name = name
        self._log = log

    def expire(self, state: Any) -> None:
        self._log.append(f"{self._name} expires")
        state.remove(self)

    def abort(self) -> None:
        self._log.append(f"{self._name} is aborted")


def test_a_state_lasts_its_time_from_when_it_was_entered_last() -> None:
    loop, log = Loop(), list[str]()
    connections = Connections(loop, Bounds(keep_alive_timeout_s=60, arrival_timeout_s=10), 10)  # type: ignore[arg-type]
    one, another, third = (Waiting(name, log) for name in ("one", "another", "third"))
    connections.idle.add(one)
    connections.arriving.add(third)
    loop.now = 5.0
    connections.idle.add(another)
    loop.now = 9.0
    connections.sweep()
    assert log == []
    loop.now = 10.0
    connections.sweep()
    assert log == ["third expires"]
    loop.now = 61.0
    connections.sweep()
    assert log == ["third expires", "one expires"]
    assert connections.idle.oldest() is another
