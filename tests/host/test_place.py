"""A place of a host: its process is replaced when it ends or stands still, and not once the place is given up."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from time import monotonic

import pytest

from jangteo.host import child as children
from jangteo.host import place as places
from jangteo.host.child import Child, launch
from jangteo.host.place import Place

ENDS_AT_ONCE = "pass"
SAYS = "import socket, sys; s = socket.socket(fileno=int(sys.argv[1])); s.sendall(b'\\nwindow 7\\n'); s.recv(9)"
"""Sends a beat and a line, and ends when it gets a line."""
STANDS_STILL = "import time; time.sleep(60)"


def python(program: str) -> Callable[[], Awaitable[Child]]:
    return lambda: launch(
        lambda lifeline: (sys.executable, "-c", program, str(lifeline)), environment={"KEPT": "1"}, kept=()
    )


def test_lines_are_heard_and_beats_are_not() -> None:
    async def scenario() -> None:
        heard: asyncio.Queue[str] = asyncio.Queue()
        place = Place("front end", python(SAYS), heard.put_nowait)
        place.start()
        assert await heard.get() == "window 7"
        assert await place.end(30)
        assert heard.empty()

    asyncio.run(scenario())


def test_a_process_that_keeps_ending_is_started_again_after_growing_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "FIRST_PAUSE_S", 0.01)
    started_at: list[float] = []
    enough = asyncio.Event()

    async def start() -> Child:
        started_at.append(monotonic())
        if len(started_at) == 2:
            raise OSError("no more processes")
        if len(started_at) == 5:
            enough.set()
        return await python(ENDS_AT_ONCE)()

    async def scenario() -> None:
        place = Place("keeper", start, lambda _: None)
        place.start()
        await asyncio.wait_for(enough.wait(), 60)
        assert await place.end(30)

    asyncio.run(scenario())
    assert started_at[4] - started_at[3] >= 8 * 0.01


def test_a_process_that_stands_still_is_killed_and_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "SILENCE_MAX_S", 0.2)
    monkeypatch.setattr(places, "FIRST_PAUSE_S", 0.01)
    process_ids: list[int] = []
    replaced = asyncio.Event()

    async def start() -> Child:
        child = await python(STANDS_STILL)()
        process_ids.append(child.process_id)
        if len(process_ids) == 2:
            replaced.set()
        return child

    async def scenario() -> None:
        place = Place("writer", start, lambda _: None)
        place.start()
        await asyncio.wait_for(replaced.wait(), 60)
        assert not await place.end(0.1), "it had to be killed"

    asyncio.run(scenario())
    assert len(set(process_ids)) == 2


def test_a_process_started_while_its_place_is_given_up_gets_the_last_line() -> None:
    got = "import socket, sys; s = socket.socket(fileno=int(sys.argv[1])); s.sendall(s.recv(9)); s.recv(9)"

    async def scenario() -> None:
        heard: asyncio.Queue[str] = asyncio.Queue()
        place = Place("front end", python(got), heard.put_nowait)
        place.start()
        await asyncio.sleep(0)
        place.give_up("drain")
        assert await heard.get() == "drain"
        await place.end(30)
        await place.wait_until_empty()

    asyncio.run(scenario())
