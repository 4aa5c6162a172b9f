"""A command on a terminal: what it shows there."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Sequence
from contextlib import suppress


def shown_on_a_terminal(command: Sequence[str]) -> tuple[int, bytes]:
    """Run it to its end: its exit code, and all that it has shown."""
    ours, theirs = pty.openpty()
    env = {"PATH": "/usr/bin:/bin", "TERM": "xterm", "COLUMNS": "200"}
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, env=env) as process:
        os.close(theirs)
        shown = b""
        # A terminal that nobody writes to any more can't be read.
        with suppress(OSError):
            while part := os.read(ours, 65_536):
                shown += part
        os.close(ours)
    return process.returncode, shown
