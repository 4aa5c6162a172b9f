"""The file of a shop on SQLite: checks the file and its schema before it is used, migrates it, and locks it."""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import URL, create_engine, pool

from jangteo.storage import migrations
from jangteo.storage.compatibility import SchemaState, check_own_revision, check_usable, examine_schema, read_state
from jangteo.storage.diagnosis import Diagnosis
from jangteo.storage.errors import CannotOpen, FileLost, NoShopYet
from jangteo.storage.port import LONG_TIMEOUT_S
from jangteo.storage.sqlite.connection import SqliteConnection, open_connection
from jangteo.storage.sqlite.examination import examine_durability, examine_file
from jangteo.storage.sqlite.files import DATABASE, WAL, WAL_INDEX, ShopFiles
from jangteo.storage.sqlite.locks import ServerLocks

_MAGIC: Final = b"SQLite format 3\x00"


class SqliteStorage:
    """A database file. One server at a time may use it, which locks ensure."""

    shared = False

    def __init__(self, path: Path) -> None:
        # The lock file is beside the database file itself, whatever symbolic links lead to it.
        self._path = path.resolve()
        self._locks = ServerLocks()
        self._files = ShopFiles(self._path)
        self._kept_open: sqlite3.Connection | None = None
        """Open for as long as the shop is served: as the last connection closes, SQLite removes the -wal and -shm."""

    def prepare(self) -> Sequence[str]:
        """Lock the file and create or migrate its schema.

        Raises CannotOpen, having changed nothing, if it can't be opened, is no SQLite database, belongs to another
        program, has a newer schema, or is being served.
        """
        self.inspect()
        with self._locked(create=True):
            if self._state().is_older:
                self._upgrade()
            return check_usable(self._state(), str(self._path))

    def inspect(self) -> None:
        """Raise CannotOpen if the path neither holds a shop nor can become one. Changes nothing."""
        if self._path.exists():
            self._state()
        else:
            self._check_folder()
            self._check_no_log_is_left()

    def check(self, *, writes: bool = False) -> Sequence[str]:  # noqa: ARG002 - a file that can't be written isn't used
        """Check that this version may use the file. Changes nothing."""
        lines = check_usable(self._existing_state(), str(self._path))
        with _failing_as_cannot_open():
            self._files.record({}, (DATABASE,))
        return lines

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
        with self._locked(create=False):
            pass

    def connect(self, timeout_s: float = LONG_TIMEOUT_S) -> SqliteConnection:  # noqa: ARG002 - the port's own signature
        """Return a new connection for the calling thread; it opens the file at its first use.

        A file system can't be given up: whoever waits for the thread that uses the connection has a timeout.
        """
        return SqliteConnection(self._path, self._files)

    def kept_files(self) -> tuple[int, ...]:
        """Return the locks' descriptors: the locks last until every process that has them open has ended."""
        return tuple(self._locks.descriptors.values())

    def identity(self) -> str:
        """Return the identities of the files."""
        return self._files.to_text()

    def expect(self, identity: str, *, logs: bool = False) -> None:
        """Use only these files."""
        self._files.expect(identity, logs=logs)

    def loss(self) -> str | None:
        """Look whether the database's path still leads to the file that was opened."""
        return self._files.loss()

    def close(self) -> None:
        """Release the locks."""
        if self._kept_open is not None:
            self._kept_open.close()
            self._kept_open = None
        self._files.clear()
        self._locks.release()

    @contextmanager
    def _locked(self, *, create: bool) -> Iterator[None]:
        """Lock the file before the block, and expect the files after it to stay. Raises CannotOpen, and unlocks it."""
        self._locks.acquire(self._path, create=create)
        try:
            yield
            with _failing_as_cannot_open():
                self._kept_open = open_connection(self._path)
                # A read has SQLite make the -wal and the -shm.
                self._kept_open.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
                self._files.record(self._locks.descriptors, (WAL, WAL_INDEX))
        except CannotOpen:
            self.close()
            raise

    def _check_folder(self) -> None:
        folder = self._path.absolute().parent
        if not folder.is_dir():
            raise CannotOpen(f"{folder} is no folder: create it, or name another path")
        if not os.access(folder, os.W_OK):
            raise CannotOpen(f"{folder} can't be written")

    def _check_no_log_is_left(self) -> None:
        """SQLite would delete the write-ahead log of a file that was moved away, and all that is only there."""
        log = Path(f"{self._path}{WAL}")
        if log.exists() and log.stat().st_size:
            raise CannotOpen(
                f"{self._path} is not there, but {log}, which belongs to it, is: put the file back; or move "
                f"{log.name} away, too, and what is only in it is lost"
            )

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
        links = self._path.stat().st_nlink
        if links > 1:
            # By each name SQLite would look for another write-ahead log.
            raise CannotOpen(f"{self._path} has {links} names (hard links): remove all but one, or use a copy of it")
        try:
            return _read_schema(self._path)
        except (sqlite3.Error, OSError) as error:
            raise CannotOpen(f"{self._path} can't be opened as a database: {error}") from error


@contextmanager
def _failing_as_cannot_open() -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, FileLost) as error:
        raise CannotOpen(f"the database can't be opened: {error}") from error


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
