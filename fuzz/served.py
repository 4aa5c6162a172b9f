"""The shop that is fuzzed: served by a process of its own with few descriptors, in a folder with all that it writes."""

import asyncio
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from drill.programs import Program, environment, processes_in
from drill.waiting import DrillFailed, until
from fuzz.wire import Address, connected

DESCRIPTORS: Final = 256
"""The most descriptors of a process: few, so that a flood of connections reaches the bound."""
_START_TIMEOUT_S: Final = 60
_END_TIMEOUT_S: Final = 60
_OPEN_AT: Final = re.compile(r"is open at http://([\d.]+):(\d+)")
_FAULT: Final = re.compile(r'.*(?:Traceback|"level": ?"(?:error|critical)"|"event": ?"request failed"|Exception).*')


class Footprint(NamedTuple):
    """What a process holds."""

    name: str
    anonymous_kib: int
    """Memory that is not a file's: the heap, the stacks."""
    resident_kib: int
    """All memory in RAM, with pages of files and shared memory."""
    descriptors: int

    def __str__(self) -> str:
        anonymous, resident = self.anonymous_kib / 1000, self.resident_kib / 1000
        return f"{self.name}: {anonymous:.1f} MB anonymous of {resident:.1f} MB, {self.descriptors} descriptors"


class Served:
    """A shop that is being served."""

    def __init__(self, folder: Path, database: str, options: Sequence[str], *, descriptors: int) -> None:
        self.database = database
        limited = ["bash", "-c", f'ulimit -n {descriptors}; exec "$@"', "bash"]
        serve = [sys.executable, "-m", "jangteo", "serve", "--port", "0", "--database", database]
        platform = ["--platform", f"file:{folder}/events.jsonl"]
        # Its working folder is not this one.
        sources = str(Path(__file__).parents[1] / "src")
        self._program = Program(folder / "shop", [*limited, *serve, *platform, *options], PYTHONPATH=sources)
        self._log = folder / "shop" / "log"
        self.address = Address("", 0)

    async def start(self) -> None:
        """Start it, and wait until it answers. Raises DrillFailed."""
        self._program.start()
        await until(lambda: self._is_open() or self._program.has_ended(), "the shop is open", _START_TIMEOUT_S)
        if self._program.has_ended():
            raise DrillFailed(f"the shop has ended:\n{self._program.tail()}")
        # The socket listens before the shop is open: whoever connects waits.
        async with connected(self.address) as connection, asyncio.timeout(_START_TIMEOUT_S):
            await connection.send(b"GET /health/ready HTTP/1.1\r\nhost: localhost\r\n\r\n")
            await connection.answer()

    def _is_open(self) -> bool:
        found = _OPEN_AT.search(self._log.read_text(errors="replace"))
        if found is None:
            return False
        self.address = Address(found[1], int(found[2]))
        return True

    def faults(self) -> list[str]:
        """Return the lines of its log that report a defect."""
        return _FAULT.findall(self._log.read_text(errors="replace"))

    def footprints(self) -> list[Footprint]:
        """Return what each of its processes holds now, the server first."""
        return [_footprint(process_id) for process_id in sorted(processes_in(self._program.folder))]

    async def end(self) -> None:
        """End it as a service manager does. Raises DrillFailed if it does not end."""
        self._program.interrupt()
        await until(self._program.has_ended, "the shop's end", _END_TIMEOUT_S)

    def kill(self) -> None:
        """Kill what is left of it."""
        self._program.kill()

    def audit(self) -> str:
        """Audit the shop. Returns what is wrong, empty if nothing is."""
        command = [sys.executable, "-m", "jangteo", "audit", "--database", self.database]
        ended = subprocess.run(command, capture_output=True, text=True, check=False, env=environment())
        return "" if ended.returncode == 0 else ended.stdout + ended.stderr


@contextmanager
def prepared(folder: Path, database: str, *options: str, descriptors: int = DESCRIPTORS) -> Iterator[Served]:
    """Have a shop that may be started; what is left of it is killed at the end."""
    served = Served(folder, database, options, descriptors=descriptors)
    try:
        yield served
    finally:
        served.kill()


def _footprint(process_id: int) -> Footprint:
    process = Path(f"/proc/{process_id}")
    sizes = dict(re.findall(r"^(\w+): +(\d+) kB$", (process / "smaps_rollup").read_text(), re.MULTILINE))
    is_writer = b"jangteo.engine.writer" in (process / "cmdline").read_bytes()
    return Footprint(
        "writer" if is_writer else "server",
        int(sizes["Anonymous"]),
        int(sizes["Rss"]),
        sum(1 for _ in (process / "fd").iterdir()),
    )
