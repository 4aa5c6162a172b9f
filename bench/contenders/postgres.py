"""Runs a durable PostgreSQL server on loopback, with the settings that the report shows."""

import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psycopg

from bench.contenders import processes
from tests.postgres import USER, Server, Standby

SETTINGS: Final = {
    "fsync": "on",
    "synchronous_commit": "on",
    "shared_buffers": "1GB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "30min",
    "log_statement": "none",
    "default_transaction_isolation": "read committed",
}
"""What differs from PostgreSQL's defaults. No checkpoint falls into a round of seconds."""
_ON_DISK: Final = Path("/var/tmp")
"""A folder on disk that every system user may write to; /tmp may be in memory."""


class Postgres:
    """A running server."""

    def __init__(self, server: Server) -> None:
        self._server = server

    @property
    def port(self) -> int:
        """The port on 127.0.0.1."""
        return self._server.port

    @property
    def user(self) -> str:
        """The superuser."""
        return USER

    def cpu_s(self) -> Mapping[str, float]:
        """Processor time so far of all its processes, in seconds."""
        # Whatever their command lines are: an ended process that still counts has none.
        return {processes.POSTGRES: sum(processes.cpu_s(self._server.process_id).values())}

    def kill(self) -> None:
        """Kill all of its processes at once."""
        self._server.kill()

    def start(self) -> None:
        """Start it again after `kill`, and wait until it has recovered."""
        self._server.start()

    def program(self, name: str) -> Path:
        """The path of a program of its installation, such as psql."""
        return self._server.programs / name

    def create(self, database: str, template: str = "template0") -> str:
        """Create a database and return its URL."""
        return self._server.create(database, template)

    def url(self, database: str) -> str:
        """The URL of an existing database."""
        return self._server.url(database)

    def has(self, database: str) -> bool:
        """Whether the database exists."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as raw:
            return raw.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database]).fetchone() is not None

    def drop(self, database: str) -> None:
        """Drop the database if it exists."""
        if self.has(database):
            self._server.drop(database)

    def rename(self, database: str, name: str) -> None:
        """Rename the database."""
        self._server.run(f"ALTER DATABASE {database} RENAME TO {name}")

    def sync(self, database: str) -> None:
        """Vacuum, analyze and checkpoint, so that the server doesn't during a round."""
        self._server.run("VACUUM (ANALYZE)", database)
        self._server.run("CHECKPOINT", database)

    def run_file(self, file: Path, database: str) -> None:
        """Run a file of statements."""
        self._server.run(file.read_text(), database)

    @contextmanager
    def with_standby(self) -> Iterator[None]:
        """Have every commit wait for a synchronous standby on this machine while the block runs."""
        standby = Standby(self._server, "standby")
        standby.start()
        try:
            self._name_standbys("standby")
            yield
        finally:
            self._name_standbys("")
            standby.remove()

    def _name_standbys(self, names: str) -> None:
        self._server.run(f"ALTER SYSTEM SET synchronous_standby_names = '{names}'")
        self._server.run("SELECT pg_reload_conf()")

    def version(self) -> str:
        """The version of PostgreSQL."""
        printed = subprocess.run([self.program("postgres"), "--version"], capture_output=True, text=True, check=True)
        return printed.stdout.split()[-1]


class _KeptServer(Server):
    """A server whose data stays in a folder, which every system user must be able to reach."""

    def __init__(self, folder: Path, **settings: str) -> None:
        super().__init__(folder, **settings)
        kept = folder / "postgres"
        if kept.exists():
            shutil.rmtree(self._data)
        else:
            self._data.rename(kept)
        self._data = kept

    def remove(self) -> None:
        """Shut it down cleanly and leave its data."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait()
            self._process = None
        super().remove()


@contextmanager
def running(kept_in: Path | None = None) -> Iterator[Postgres]:
    """Run a server. At the end its data is removed, unless `kept_in` names a folder to keep it in."""
    within = _ON_DISK if _ON_DISK.is_dir() else None
    server = Server(within, **SETTINGS) if kept_in is None else _KeptServer(kept_in.absolute(), **SETTINGS)
    server.start()
    try:
        yield Postgres(server)
    finally:
        server.remove()
