"""Reads of the kernel what processes have used: memory, and processor time by their role."""

import os
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

FRONT_END: Final = "front end"
WRITER: Final = "writer"
KEEPER: Final = "keeper"
POSTGRES: Final = "PostgreSQL"
_PROC: Final = Path("/proc")
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_ROLES: Final = {"jangteo.engine.writer": WRITER, "writer": WRITER, "keeper": KEEPER}
"""What a process does that has this word in its command; any other one speaks HTTP, or supervises."""


def family(process_id: int) -> list[int]:
    """The process and its descendants. One that ends meanwhile may be missing."""
    children: list[str] = []
    with suppress(OSError):
        for task in (_PROC / str(process_id) / "task").iterdir():
            children += (task / "children").read_text().split()
    return [process_id, *(each for child in children for each in family(int(child)))]


def cpu_s(process_id: int) -> Mapping[str, float]:
    """Processor time so far of the process and its descendants, by role, in seconds, of those that ended too."""
    by_role: dict[str, float] = defaultdict(float)
    for each in family(process_id):
        with suppress(OSError):
            command = (_PROC / str(each) / "cmdline").read_bytes().decode(errors="replace").split("\0")
            by_role[role_of(command)] += ticks_of((_PROC / str(each) / "stat").read_text()) / _TICKS_PER_S
    return by_role


def role_of(command: list[str]) -> str:
    """What a process of a shop does, by its command line."""
    return next((_ROLES[word] for word in command if word in _ROLES), FRONT_END)


def ticks_of(stat: str) -> int:
    """The clock ticks that a process and its ended children used, from the text of its `stat` file."""
    # The second field is the command in parentheses, and may itself contain any character.
    fields = stat.rpartition(")")[2].split()
    return sum(map(int, fields[11:15]))


def resident_kib(process_id: int) -> int:
    """Resident memory of the process, in KiB; 0 if it has ended."""
    with suppress(OSError):
        lines = (_PROC / str(process_id) / "status").read_text().splitlines()
        return next((int(line.split()[1]) for line in lines if line.startswith("VmRSS:")), 0)
    return 0
