"""Puts the tests' files into memory: tests kill processes, never the machine, so no file needs a disk."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

IN_MEMORY = Path("/dev/shm")
ENOUGH_BYTES = 4 * 2**30


def use_memory() -> None:
    """Make temporary files in memory, unless TMPDIR names another folder. Test processes inherit the choice."""
    if "TMPDIR" not in os.environ and IN_MEMORY.is_dir() and shutil.disk_usage(IN_MEMORY).free >= ENOUGH_BYTES:
        os.environ["TMPDIR"] = tempfile.tempdir = str(IN_MEMORY)
