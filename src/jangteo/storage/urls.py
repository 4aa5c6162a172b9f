"""From a database URL to its storage."""

from pathlib import Path
from typing import Final

from jangteo.storage.errors import CannotOpen
from jangteo.storage.port import Storage
from jangteo.storage.postgres.server import PostgresStorage
from jangteo.storage.sqlite.file import SqliteStorage

_RELAY_LOCK: Final = ".relay.lock"
_ENDINGS: Final = ("", "-wal", "-shm", ".lock", _RELAY_LOCK)


def sqlite_path(url: str) -> Path | None:
    """The file that `sqlite:///relative.db` or `sqlite:////absolute.db` names; None for other URLs."""
    prefix = "sqlite:///"
    path = url.removeprefix(prefix)
    if not url.startswith(prefix) or not path:
        return None
    if path == ":memory:":
        raise CannotOpen("a shop in memory would lose what it acknowledged: name a file, as sqlite:///shop.db")
    return Path(path)


def files_of(url: str) -> tuple[Path, ...]:
    """The files that belong to a shop on SQLite; none elsewhere."""
    path = sqlite_path(url)
    return () if path is None else tuple(Path(f"{path.resolve()}{ending}") for ending in _ENDINGS)


def lease_file_of(url: str) -> Path | None:
    """The file whose lock is the relay's turn, for a shop on SQLite; None elsewhere."""
    path = sqlite_path(url)
    return None if path is None else Path(f"{path.resolve()}{_RELAY_LOCK}")


def same_database(one: str, other: str) -> bool:
    """Whether two URLs name one file, or are one and the same; a server may have names that nobody can see through."""
    return one == other or files_of(one) == files_of(other) != ()


def open_storage(url: str) -> Storage:
    """The storage at a URL, as yet untouched. Raises CannotOpen where there is none that could be used."""
    path = sqlite_path(url)
    if path is not None:
        storage = SqliteStorage(path)
        storage.inspect()
        return storage
    if url.startswith(("postgresql://", "postgres://")):
        return PostgresStorage(url)
    raise CannotOpen("the database must be named as sqlite:///PATH or postgresql://USER@HOST/NAME")
