"""The PostgreSQL of this bench: a server of its own on loopback, durable, with settings that are told."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

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

    def settle(self, database: str) -> None:
        """Have what was made in bulk analysed and written, so that this isn't done while something is measured."""
        self._server.run("VACUUM (ANALYZE)", database)
        self._server.run("CHECKPOINT", database)

    def version(self) -> str:
        """Which PostgreSQL it is."""
        told = subprocess.run([self.program("postgres"), "--version"], capture_output=True, text=True, check=True)
        return told.stdout.split()[-1]


@contextmanager
def running() -> Iterator[Postgres]:
    """Start a server; end it and remove its data."""
    server = Server(_ON_DISK if _ON_DISK.is_dir() else None, **SETTINGS)
    server.start()
    try:
        yield Postgres(server)
    finally:
        server.remove()
