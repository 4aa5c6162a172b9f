"""Processor time is attributed to the role of each process."""

from __future__ import annotations

import os

import pytest

from bench.contenders import processes
from bench.reports.sections import on_cores


@pytest.mark.parametrize(
    ("command", "role"),
    [
        (["/usr/bin/python", "-m", "jangteo", "serve", "--database", "postgresql://shop@db/shop"], processes.FRONT_END),
        (["/usr/bin/python", "-m", "jangteo.engine.writer", "5"], processes.WRITER),
        (["/usr/bin/python", "-m", "jangteo.host", "front-end", "5"], processes.FRONT_END),
        (["/usr/bin/python", "-m", "jangteo.host", "keeper", "5"], processes.KEEPER),
        (["/usr/bin/python", "-m", "bench.contenders.uncounted", "writer", "{}"], processes.WRITER),
        ([""], processes.FRONT_END),
    ],
)
def test_a_process_has_the_role_of_its_program(command: list[str], role: str) -> None:
    assert processes.role_of(command) == role


def test_a_process_is_counted_with_its_ended_children_whatever_its_name_is() -> None:
    stat = "42 (a) b (c) S 1 42 42 0 -1 4194304 100 0 0 0 11 12 13 14 20 0 1 0 5 6 7"
    assert processes.ticks_of(stat) == 11 + 12 + 13 + 14


def test_this_process_has_used_memory_and_time() -> None:
    assert processes.resident_kib(os.getpid()) > 0
    assert processes.FRONT_END in processes.cpu_s(os.getpid())


def test_a_process_that_has_ended_has_no_memory() -> None:
    assert processes.resident_kib(2**22 + 1) == 0


def test_cores_help_until_the_one_writer_is_busy() -> None:
    assert on_cores(2, front_end_us=60, writer_us=40, others_us=0) == 20_000
    assert on_cores(32, front_end_us=60, writer_us=40, others_us=0) == 25_000
