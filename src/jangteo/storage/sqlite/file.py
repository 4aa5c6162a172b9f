"""The file of a shop on SQLite: checks the file and its schema before it is used, migrates it, and locks it."""

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from sqlalchemy import URL, create_engine, pool

from jangteo.storage import migrations
from jangteo.storage.compatibility import SchemaState, check_own_revision, check_usable, examine_schema, read_state
from jangteo.storage.diagnosis import Diagnosis
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

    def prepare(self) -> Sequence[str]:
        """Lock the file and create or migrate its schema.

        Raises CannotOpen, having changed nothing, if it can't be opened, is no SQLite database, belongs to another
        program, has a newer schema, or is being served.
        """
        self.inspect()
        self._lock_file()
        try:
            if not self._path.exists() or self._state().is_older:
                self._upgrade()
            return check_usable(self._state(), str(self._path))
        except CannotOpen:
            self.close()
            raise

    def inspect(self) -> None:
        """Raise CannotOpen if the path neither holds a shop nor can become one. Changes nothing."""
        if self._path.exists():
            self._state()
        else:
            self._check_folder()

    def check(self, *, writes: bool = False) -> Sequence[str]:  # noqa: ARG002 - a file that can't be written isn't used
        """Check that this version may use the file. Changes nothing."""
        return check_usable(self._existing_state(), str(self._path))

    def durability(self) -> list[Diagnosis]:
        """Examine the file system."""
        return examine_durability(self._path)

    def examine(self) -> Iterator[Diagnosis]:
        """Examine where the file lies, then its schema."""
        yield from examine_file(self._path)
        yield examine_schema(self.check())

    def take(self) -> None:
        """Check and lock the file. Raises CannotOpen if this version can't use it or it is being served."""
        check_own_revision(self._existing_state(), str(self._path))
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

    def _upgrade(self) -> None:
        try:
            migrations.upgrade(create_engine(URL.create("sqlite", database=str(self._path)), poolclass=pool.NullPool))
        except Exception as error:
            # The library's own error adds the statement and a link.
            reason = getattr(error, "orig", None) or error
            raise CannotOpen(f"{self._path} can't be migrated: {reason}") from error

    def _existing_state(self) -> SchemaState:
        if not self._path.exists():
            raise NoShopYet(f"{self._path} is not there: name the shop's database")
        return self._state()

    def _state(self) -> SchemaState:
        """Read the state of the schema. Raises CannotOpen if this version can't use it."""
        if self._path.is_dir():
            raise CannotOpen(f"{self._path} is a folder, not a database file")
        if not os.access(self._path, os.R_OK | os.W_OK):
            raise CannotOpen(f"{self._path} can't be read and written")
        try:
            return _read_schema(self._path)
        except (sqlite3.Error, OSError) as error:
            raise CannotOpen(f"{self._path} can't be opened as a database: {error}") from error

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


def _read_schema(path: Path) -> SchemaState:
    """Read the state of the schema without changing anything, since the file may be another program's."""
    with path.open("rb") as file:
        start = file.read(len(_MAGIC))
    if start not in (b"", _MAGIC):
        raise sqlite3.DatabaseError("file is not a database")
    # Without a WAL file nobody has the database open; `immutable` keeps SQLite from creating one.
    mode = "mode=ro" if Path(f"{path}-wal").exists() else "immutable=1"
    raw = sqlite3.connect(f"{path.as_uri()}?{mode}", uri=True)
    try:
        tables = {row[0] for row in raw.execute("SELECT name FROM sqlite_master")}
        return read_state(tables, lambda sql: raw.execute(sql).fetchall(), str(path))
    finally:
        raw.close()
