"""Programs of the cluster: each runs in a folder of its own, and whatever works in that folder belongs to it.

PostgreSQL leaves the process group and session of what starts it, and overwrites its environment, but its working
folder is its data. So the working folder shows what has to be frozen, killed and ended.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from random import SystemRandom
from time import monotonic, sleep
from typing import Any, Final

from drill.waiting import DrillFailed

_PORTS: Final = range(20_000, 32_000)
"""Below the ports of outgoing connections, which could take the port of a program while it is down."""
_END_TIMEOUT_S: Final = 10
_SYSTEM_USER: Final = "postgres"
_TAIL_LINES: Final = 12
_TAIL_WIDTH: Final = 300
_taken: set[int] = set()


def free_port() -> int:
    """Return a port of 127.0.0.1 that nothing listens on, each time another one."""
    for port in SystemRandom().sample(_PORTS, len(_PORTS)):
        if port not in _taken:
            with suppress(OSError), socket.create_server(("127.0.0.1", port)):
                _taken.add(port)
                return port
    raise DrillFailed("there is no free port")


def processes_in(folder: Path) -> set[int]:
    """Return the ids of the processes that work in this folder or in one below it."""
    found = set()
    for entry in Path("/proc").iterdir():
        # A process may end meanwhile, or be another user's.
        with suppress(OSError):
            if entry.name.isdecimal() and (entry / "cwd").readlink().is_relative_to(folder):
                found.add(int(entry.name))
    return found - {os.getpid()}


def signal_all(folder: Path, number: signal.Signals) -> None:
    """Send a signal to all processes in the folder, and to those that they start meanwhile."""
    signalled: set[int] = set()
    while found := processes_in(folder) - signalled:
        for process_id in found:
            with suppress(ProcessLookupError):
                os.kill(process_id, number)
        signalled |= found


def kill_all(folder: Path) -> None:
    """Kill all processes in the folder, and wait until there are none. Raises DrillFailed if some stay."""
    deadline = monotonic() + _END_TIMEOUT_S
    while processes_in(folder):
        if monotonic() > deadline:
            raise DrillFailed(f"processes can't be killed: {sorted(processes_in(folder))}")
        signal_all(folder, signal.SIGKILL)
        sleep(0.02)


def environment() -> dict[str, str]:
    """Return the environment without variables that would change what a program of the cluster does."""
    changing = ("JANGTEO_", "PATRONI_", "ETCD_", "PG")
    return {name: value for name, value in os.environ.items() if not name.startswith(changing)}


class Program:
    """A program in its own folder, which may be started more than once. It writes to the file `log` in there."""

    def __init__(self, folder: Path, command: Sequence[str], *, system_user: bool = False, **variables: str) -> None:
        """With `system_user` it runs as PostgreSQL's user when the drill runs as root, which PostgreSQL refuses."""
        self.folder = folder
        self.name = folder.name
        self._command = command
        self._variables = variables
        self._as: dict[str, Any] = {}
        folder.mkdir(mode=0o700)
        if system_user and os.geteuid() == 0:
            entry = pwd.getpwnam(_SYSTEM_USER)
            self._as = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
            shutil.chown(folder, entry.pw_uid, entry.pw_gid)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it."""
        variables = environment() | self._variables
        if self._as:
            # Patroni runs with Debian's Python, which must not find this checkout's packages.
            variables = {name: value for name, value in variables.items() if not name.startswith("PYTHON")}
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self.folder,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **self._as,
            )

    def has_ended(self) -> bool:
        """Whether the process that was started has ended."""
        return self._process is None or self._process.poll() is not None

    def interrupt(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal to the process that was started, not to its children."""
        if self._process is not None:
            self._process.send_signal(number)

    def freeze(self) -> None:
        """Stop all of its processes, as if the machine stood still."""
        signal_all(self.folder, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let all of its processes go on."""
        signal_all(self.folder, signal.SIGCONT)

    def kill(self) -> None:
        """Kill all of its processes, as if the machine was lost."""
        kill_all(self.folder)
        if self._process is not None:
            self._process.wait()

    def tail(self) -> str:
        """Return the last lines of its log."""
        log = self.folder / "log"
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        return "\n".join(line[:_TAIL_WIDTH] for line in lines[-_TAIL_LINES:])
