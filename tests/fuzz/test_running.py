"""`make fuzz` ends at once when it is asked to, in one line, and leaves no shop behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from drill.programs import processes_in

ROOT = Path(__file__).parents[2]


@pytest.mark.long
def test_sigterm_ends_it_in_one_line_and_leaves_no_shop(tmp_path: Path) -> None:
    program = subprocess.Popen(
        [sys.executable, "-m", "fuzz.soak", "--minutes", "5"],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    while not processes_in(tmp_path):
        assert program.poll() is None
    program.terminate()
    assert program.communicate(timeout=60)[0] == "fuzz: interrupted\n"
    assert program.returncode == 130
    assert processes_in(tmp_path) == set()
