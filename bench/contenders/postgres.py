"""The PostgreSQL of this bench: a server of its own on loopback, durable, with settings that are told."""

import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psycopg

from tests.postgres import USER, Server

SETTINGS: Final = {
    "fsync": "on",
    "synchronous_commit": "on",
    "shared_buffers": "1GB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "30min",
    "log_statement": "none",
    "default_transaction_isolation": "read committed",
}
"""What differs from PostgreSQL's defaults; checkpoints don't come in the middle of a run of seconds."""
_ON_DISK: Final = Path("/var/tmp")
"""Where files are really on a disk, and every user of the system may have some; /tmp may be in memory."""


class Postgres:
    """A server that runs."""

    def __init__(self, server: Server) -> None:
        self._server = server

    @property
    def port(self) -> int:
        """Where it listens on 127.0.0.1."""
        return self._server.port

    @property
    def user(self) -> str:
        """Who may do everything there."""
        return USER

    def program(self, name: str) -> Path:
        """One of the programs that come with it."""
        return self._server.programs / name

    def create(self, database: str, template: str = "template0") -> str:
        """A new database, and its URL."""
        return self._server.create(database, template)

    def url(self, database: str) -> str:
        """Of a database that is there."""
        return self._server.url(database)

    def has(self, database: str) -> bool:
        """Whether there is such a database."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as raw:
            return raw.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database]).fetchone() is not None

    def drop(self, database: str) -> None:
        """Remove a database, if it is there."""
        if self.has(database):
            self._server.drop(database)

    def rename(self, database: str, name: str) -> None:
        """Give a database another name."""
        self._server.run(f"ALTER DATABASE {database} RENAME TO {name}")

    def sync(self, database: str) -> None:
        """Have what was made in bulk analysed and written, so that this isn't done while something is measured."""
        self._server.run("VACUUM (ANALYZE)", database)
        self._server.run("CHECKPOINT", database)

    def version(self) -> str:
        """Which PostgreSQL it is."""
        told = subprocess.run([self.program("postgres"), "--version"], capture_output=True, text=True, check=True)
        return told.stdout.split()[-1]


class _Kept(Server):
    """One whose data stays in a folder, which must be one that every user of the system can get to."""

    def __init__(self, folder: Path, **settings: str) -> None:
        super().__init__(folder, **settings)
        kept = folder / "postgres"
        if kept.exists():
            shutil.rmtree(self._data)
        else:
            self._data.rename(kept)
        self._data = kept

    def remove(self) -> None:
        """End it as it should be ended, and leave its data there."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait()
            self._process = None
        super().remove()


@contextmanager
def running(kept_in: Path | None = None) -> Iterator[Postgres]:
    """Start a server; end it and remove its data, unless that is to be kept in a folder."""
    within = _ON_DISK if _ON_DISK.is_dir() else None
    server = Server(within, **SETTINGS) if kept_in is None else _Kept(kept_in.absolute(), **SETTINGS)
    server.start()
    try:
        yield Postgres(server)
    finally:
        server.remove()
