"""The file of a shop on SQLite: checks the file and its schema before it is used, migrates it, and locks it."""

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from sqlalchemy import URL, create_engine, pool

from jangteo.storage import migrations
from jangteo.storage.diagnosis import Diagnosis, ok
from jangteo.storage.errors import CannotOpen, NoShopYet
from jangteo.storage.port import LONG_TIMEOUT_S
from jangteo.storage.sqlite.connection import SqliteConnection
from jangteo.storage.sqlite.examination import examine_durability, examine_file

_LOCK_ATTEMPTS: Final = 40
_LOCK_PAUSE_S: Final = 0.05
_MAGIC: Final = b"SQLite format 3\x00"


class SqliteStorage:
    """A database file. One server at a time may use it, which a lock file ensures."""

    shared = False

    def __init__(self, path: Path) -> None:
        # The lock file is beside the database file itself, whatever symbolic links lead to it.
        self._path = path.resolve()
        self._lock: int | None = None

    def prepare(self) -> None:
        """Lock the file and create or migrate its schema.

        Raises CannotOpen, having changed nothing, if it can't be opened, is no SQLite database, belongs to another
        program, has a newer schema, or is being served.
        """
        self.inspect()
        self._lock_file()
        try:
            migrations.upgrade(create_engine(URL.create("sqlite", database=str(self._path)), poolclass=pool.NullPool))
        except Exception as error:
            self.close()
            raise CannotOpen(f"{self._path} can't be migrated: {error}") from error

    def inspect(self) -> None:
        """Raise CannotOpen if the path neither holds a shop nor can become one. Changes nothing."""
        if self._path.exists():
            self._revision()
        else:
            self._check_folder()

    def check(self) -> None:
        """Raise CannotOpen if this version can't use the file, NoShopYet if it holds no shop. Changes nothing."""
        if not self._path.exists():
            raise NoShopYet(f"{self._path} is not there: name the shop's database")
        revision = self._revision()
        if revision is None:
            raise NoShopYet(f"{self._path} holds no shop yet")
        if revision != migrations.newest():
            raise CannotOpen(f"{self._path} has the schema of an older version: jangteo migrate brings it to this one")

    def durability(self) -> list[Diagnosis]:
        """Examine the file system."""
        return examine_durability(self._path)

    def examine(self) -> Iterator[Diagnosis]:
        """Examine where the file lies, then its schema."""
        yield from examine_file(self._path)
        self.check()
        yield ok("schema", f"{migrations.newest()}, this version's")

    def take(self) -> None:
        """Check and lock the file. Raises CannotOpen if this version can't use it or it is being served."""
        self.check()
        self._lock_file()

    def connect(self, timeout_s: float = LONG_TIMEOUT_S) -> SqliteConnection:  # noqa: ARG002 - the port's own signature
        """Return a new connection for the calling thread; it opens the file at its first use.

        A file system can't be given up: whoever waits for the thread that uses the connection has a timeout.
        """
        return SqliteConnection(self._path)

    def kept_files(self) -> tuple[int, ...]:
        """Return the lock file's descriptor: the lock lasts until every process that has it open has ended."""
        return () if self._lock is None else (self._lock,)

    def close(self) -> None:
        """Release the lock."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _check_folder(self) -> None:
        folder = self._path.absolute().parent
        if not folder.is_dir():
            raise CannotOpen(f"{folder} is no folder: create it, or name another path")
        if not os.access(folder, os.W_OK):
            raise CannotOpen(f"{folder} can't be written")

    def _revision(self) -> str | None:
        """Return the schema's revision; None in an empty file. Raises CannotOpen if it can't be used."""
        if self._path.is_dir():
            raise CannotOpen(f"{self._path} is a folder, not a database file")
        if not os.access(self._path, os.R_OK | os.W_OK):
            raise CannotOpen(f"{self._path} can't be read and written")
        try:
            tables, revision = _read_schema(self._path)
        except (sqlite3.Error, OSError) as error:
            raise CannotOpen(f"{self._path} can't be opened as a database: {error}") from error
        if tables and (revision is None or "ledger_entries" not in tables):
            raise CannotOpen(f"{self._path} is another program's database; nothing was changed")
        if revision is not None and not migrations.knows(revision):
            raise CannotOpen(
                f"{self._path} has a newer schema ({revision}) than this version of Jangteo knows; "
                "upgrade Jangteo, nothing was changed"
            )
        return revision

    def _lock_file(self) -> None:
        try:
            self._lock = os.open(f"{self._path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise CannotOpen(f"{self._path}.lock can't be written: {error.strerror}") from error
        for _ in range(_LOCK_ATTEMPTS):
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                # The writer process of a server that was killed may still be committing its last batch.
                time.sleep(_LOCK_PAUSE_S)
            else:
                return
        self.close()
        raise CannotOpen(f"{self._path} is being served by another process; stop that one first")


def _read_schema(path: Path) -> tuple[set[str], str | None]:
    """Read the tables' names and the revision without changing anything, since the file may be another program's."""
    with path.open("rb") as file:
        start = file.read(len(_MAGIC))
    if start not in (b"", _MAGIC):
        raise sqlite3.DatabaseError("file is not a database")
    # Without a WAL file nobody has the database open; `immutable` keeps SQLite from creating one.
    mode = "mode=ro" if Path(f"{path}-wal").exists() else "immutable=1"
    raw = sqlite3.connect(f"{path.as_uri()}?{mode}", uri=True)
    try:
        tables = {row[0] for row in raw.execute("SELECT name FROM sqlite_master")}
        if "alembic_version" not in tables:
            return tables, None
        row = raw.execute("SELECT version_num FROM alembic_version").fetchone()
        return tables, None if row is None else str(row[0])
    finally:
        raw.close()
