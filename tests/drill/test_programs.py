"""The drill finds, freezes and ends every process of a program, whatever session it is in."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic, sleep

import pytest

from drill.programs import Program, processes_in

# A child in a session of its own, as PostgreSQL is one of Patroni's.
PARENT = """
import signal, subprocess, sys
subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True)
print("started", flush=True)
signal.pause()
"""


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    program = Program(tmp_path / "program", [sys.executable, "-c", PARENT])
    program.start()
    wait_for(lambda: "started" in program.tail() and len(processes_in(program.folder)) == 2)
    yield program
    program.kill()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = monotonic() + 30
    while not condition():
        assert monotonic() < deadline
        sleep(0.01)


def states(program: Program) -> set[str]:
    return {Path(f"/proc/{each}/stat").read_text().rsplit(")")[-1].split()[0] for each in processes_in(program.folder)}


def test_a_frozen_program_stands_still_with_its_children_until_it_is_thawed(program: Program) -> None:
    program.freeze()
    wait_for(lambda: states(program) == {"T"})
    program.thaw()
    wait_for(lambda: "T" not in states(program))
    assert not program.has_ended()


def test_a_killed_program_leaves_no_child(program: Program) -> None:
    program.freeze()
    program.kill()
    assert processes_in(program.folder) == set()
    assert program.has_ended()


def test_it_may_be_started_again(program: Program) -> None:
    program.kill()
    program.start()
    assert not program.has_ended()
