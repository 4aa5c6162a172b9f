"""Runs the servers that are measured: child processes on free loopback ports, ended with the block."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple
from urllib.request import urlopen

from bench.contenders import processes
from bench.loads.load import CannotMeasure

_OPEN_AT: Final = " is open at "
_ANSWER_TIMEOUT_S: Final = 30
_CLOSE_TIMEOUT_S: Final = 40


class Server(NamedTuple):
    """A running server."""

    address: str
    process_id: int

    def memory_mb(self) -> float:
        """Resident memory of the process and its descendants, in MB."""
        return sum(map(processes.resident_kib, processes.family(self.process_id))) / 1000

    def cpu_s(self) -> Mapping[str, float]:
        """Processor time so far of the process and its descendants, by role, in seconds."""
        return processes.cpu_s(self.process_id)


def shop(database: str, *options: str, python: str = sys.executable) -> list[str]:
    """The command that serves a shop."""
    return [python, "-m", "jangteo", "serve", "--port", "0", "--database", database, *options]


def of_workers(workers: int) -> tuple[str, ...]:
    """The options of a shop that is served by so many processes."""
    return ("--workers", str(workers)) if workers > 1 else ()


def echo(answer_bytes: int = 2) -> list[str]:
    """The command that serves the echo, which answers a GET with `answer_bytes` bytes."""
    return [sys.executable, "-m", "bench.contenders.echo", "--answer-bytes", str(answer_bytes)]


def environment() -> dict[str, str]:
    """The environment without JANGTEO_ variables, so that the defaults are measured."""
    return {name: value for name, value in os.environ.items() if not name.startswith("JANGTEO_")}


@contextmanager
def serving(command: Sequence[str], variables: Mapping[str, str] | None = None) -> Iterator[Server]:
    """Run a server, with more environment variables, and yield it once it answers.

    Raises CannotMeasure when it doesn't answer.
    """
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**environment(), **(variables or {})})
    try:
        address = _address(process)
        fetch(f"{address}/health/live")
        yield Server(address, process.pid)
    finally:
        _end(process)


def uncounted_shop(database: str, *options: str) -> list[str]:
    """The command that serves a shop without best sellers."""
    return [sys.executable, "-m", "bench.contenders.uncounted", *shop(database, *options)[3:]]


def fetch(url: str, timeout_s: float = _ANSWER_TIMEOUT_S) -> bytes:
    """GET the URL and return the body. Raises CannotMeasure."""
    try:
        with urlopen(url, timeout=timeout_s) as answer:
            body: bytes = answer.read()
    except OSError as error:
        raise CannotMeasure(f"{url} does not answer: {error}") from error
    return body


def _address(process: subprocess.Popen[str]) -> str:
    for line in process.stdout or ():
        if _OPEN_AT in line:
            return line.rpartition(_OPEN_AT)[2].strip()
    raise CannotMeasure(f"a server exited before it was open: exit code {process.wait()}")


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.communicate(timeout=_CLOSE_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
