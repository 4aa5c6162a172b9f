"""Runs the contenders: each is a stack of processes that is loaded, killed at once, and started again on its data."""

import os
import signal
import sqlite3
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from time import monotonic, sleep
from typing import ClassVar, Final

import psycopg

from bench.contenders import processes, servers
from bench.contenders.servers import fetch
from bench.loads.load import CannotMeasure
from jangteo.storage.urls import sqlite_path
from tests.postgres import free_port

ROOT: Final = Path(__file__).parents[2]
CORES: Final = os.cpu_count() or 1
CONNECTIONS_PER_CORE: Final = 8
"""To the database, as its makers advise: a few per core; more only wait for each other."""
_READY_WITHIN_S: Final = 60
_POLL_INTERVAL_S: Final = 0.05
_CLOSE_TIMEOUT_S: Final = 20


class Stack(ABC):
    """All processes of one contender but PostgreSQL's, which its caller runs."""

    LINES: ClassVar = "order_lines"
    """The table of what was ordered."""
    address: str

    def __init__(self, database: str) -> None:
        self.database = database
        self._processes: list[subprocess.Popen[str]] = []

    @abstractmethod
    def start(self) -> None:
        """Start, and wait until requests are answered. Raises CannotMeasure."""

    def stop(self) -> None:
        """End all processes in the reverse order."""
        for process in reversed(self._processes):
            process.terminate()
            try:
                process.communicate(timeout=_CLOSE_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
        self._processes = []

    def kill(self) -> None:
        """Kill all processes at once, with their children."""
        for process_id in [each for process in self._processes for each in processes.family(process.pid)]:
            with suppress(ProcessLookupError):
                os.kill(process_id, signal.SIGKILL)
        for process in self._processes:
            process.communicate()
        self._processes = []

    def settle(self) -> None:
        """Wait until everything accepted is in the database; only some have to. Raises CannotMeasure."""
        return

    def stored_orders(self) -> set[int]:
        """The ids of the orders in the database."""
        return {order for (order,) in self._rows("SELECT id FROM orders")}

    def sold(self, product: int) -> int:
        """The units of a product in the orders in the database."""
        lines = self._rows(f"SELECT product_id, quantity FROM {self.LINES}")
        return sum(quantity for each, quantity in lines if each == product)

    def _rows(self, sql: str) -> list[tuple[int, ...]]:
        path = sqlite_path(self.database)
        with closing(psycopg.connect(self.database) if path is None else sqlite3.connect(path)) as raw:
            return list(raw.execute(sql))

    def _run(self, command: Sequence[str], variables: Mapping[str, str]) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            command, env={**servers.environment(), **variables}, cwd=ROOT, stdout=subprocess.DEVNULL, text=True
        )
        self._processes.append(process)
        return process


class Jangteo(Stack):
    """Jangteo with its defaults; it sends its events to a file meanwhile."""

    LINES = "order_items"

    def __init__(self, database: str, events: Path) -> None:
        super().__init__(database)
        self._events = events

    def start(self) -> None:
        """Start on a new port."""
        port = free_port()
        self.address = f"http://127.0.0.1:{port}"
        command = servers.shop(self.database, "--platform", f"file:{self._events}", "--port", str(port))
        wait_until_live(self.address, self._run(command, {}))


class Uvicorn(Stack):
    """An ASGI application on uvicorn, with as many workers as cores."""

    def __init__(self, python: Path, application: str, database: str, **variables: str) -> None:
        super().__init__(database)
        self._python = python
        self._application = application
        self._variables = {
            "PYTHONPATH": str(ROOT),
            "PEER_DATABASE": database,
            "PEER_CONNECTIONS": str(CONNECTIONS_PER_CORE),
            **variables,
        }

    def start(self) -> None:
        """Start on a new port."""
        port = free_port()
        self.address = f"http://127.0.0.1:{port}"
        command = [str(self._python), "-m", "uvicorn", f"bench.peers.apps.{self._application}:app"]
        command += ["--port", str(port), "--workers", str(CORES), "--no-access-log", "--log-level", "warning"]
        wait_until_live(self.address, self._run(command, self._variables))


class Redis(Uvicorn):
    """Redis, the thin HTTP in front of it, and the process that stores behind it.

    `facts` are the commands that fill Redis when it starts for the first time.
    """

    def __init__(self, python: Path, database: str, folder: Path, fsync: str, facts: Iterable[str]) -> None:
        self._port = free_port()
        self._folder = folder
        self._fsync = fsync
        self._facts = facts
        folder.mkdir(parents=True, exist_ok=True)
        # Redis runs one script at a time, and costs little for a connection: none of the clients waits for one.
        super().__init__(python, "redis_shop", database, PEER_REDIS_PORT=str(self._port), PEER_CONNECTIONS="64")

    def start(self) -> None:
        """Start Redis on the files that it has, and the rest once it has read them."""
        command = ["redis-server", "--bind", "127.0.0.1", "--port", str(self._port), "--dir", str(self._folder)]
        self._run([*command, "--save", "", "--appendonly", "yes", "--appendfsync", self._fsync], {})
        _wait_until("Redis answers", lambda: self._ask("PING") == "PONG")
        subprocess.run(
            ["redis-cli", "-p", str(self._port)],
            input="\n".join(self._facts),
            text=True,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        self._facts = ()
        self._run([str(self._python), "-m", "bench.peers.apps.write_behind"], self._variables)
        super().start()

    def waiting(self) -> int:
        """The accepted orders and claims that aren't stored yet."""
        return int(self._ask("XLEN", "accepted") or 0)

    def settle(self) -> None:
        """Wait until nothing waits. Raises CannotMeasure."""
        _wait_until("everything accepted is stored", lambda: self.waiting() == 0)

    def _ask(self, *command: str) -> str:
        asked = subprocess.run(
            ["redis-cli", "-p", str(self._port), *command], capture_output=True, text=True, check=False
        )
        return asked.stdout.strip()


def wait_until_live(address: str, process: subprocess.Popen[str]) -> None:
    """Wait until the server answers. Raises CannotMeasure."""

    def is_live() -> bool:
        if process.poll() is not None:
            raise CannotMeasure(f"a server exited before it was open: exit code {process.returncode}")
        with suppress(CannotMeasure):
            fetch(f"{address}/health/live", 2)
            return True
        return False

    _wait_until(f"{address} answers", is_live)


def _wait_until(what: str, is_so: Callable[[], bool]) -> None:
    end = monotonic() + _READY_WITHIN_S
    while not is_so():
        if monotonic() > end:
            raise CannotMeasure(f"not within {_READY_WITHIN_S} s: {what}")
        sleep(_POLL_INTERVAL_S)
