"""Runs a command on a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Sequence
from contextlib import suppress


def run_on_terminal(command: Sequence[str]) -> tuple[int, bytes]:
    """Run a command to its end. Returns its exit code and its output."""
    ours, theirs = pty.openpty()
    env = {"PATH": "/usr/bin:/bin", "TERM": "xterm", "COLUMNS": "200"}
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, env=env) as process:
        os.close(theirs)
        output = b""
        # Reading fails once nobody can write to the terminal any more.
        with suppress(OSError):
            while part := os.read(ours, 65_536):
                output += part
        os.close(ours)
    return process.returncode, output
