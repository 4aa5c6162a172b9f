"""Database URLs: which storage they name, and which files belong to it."""

from pathlib import Path
from typing import Final

from jangteo.redaction import redaction
from jangteo.storage.errors import CannotOpen
from jangteo.storage.port import Storage
from jangteo.storage.postgres.server import PostgresStorage
from jangteo.storage.sqlite.file import SqliteStorage
from jangteo.url_secrets import secrets_of

_LEASE_SUFFIX: Final = ".relay.lock"
_SUFFIXES: Final = ("", "-wal", "-shm", ".lock", _LEASE_SUFFIX)


def sqlite_path(url: str) -> Path | None:
    """Return the file of `sqlite:///relative.db` or `sqlite:////absolute.db`; None for other URLs.

    Raises CannotOpen for a database in memory.
    """
    prefix = "sqlite:///"
    path = url.removeprefix(prefix)
    if not url.startswith(prefix) or not path:
        return None
    if path == ":memory:":
        raise CannotOpen("a database in memory would lose acknowledged orders: name a file, as sqlite:///shop.db")
    return Path(path)


def files_of(url: str) -> tuple[Path, ...]:
    """Return all files of a shop on SQLite; none for other databases."""
    path = sqlite_path(url)
    return () if path is None else tuple(Path(f"{path.resolve()}{suffix}") for suffix in _SUFFIXES)


def lease_file_of(url: str) -> Path | None:
    """Return the file whose lock is the relay's lease, for a shop on SQLite; None for other databases."""
    path = sqlite_path(url)
    return None if path is None else Path(f"{path.resolve()}{_LEASE_SUFFIX}")


def same_database(one: str, other: str) -> bool:
    """Whether two URLs are equal or name the same file. Different names of one PostgreSQL server are not recognized."""
    return one == other or files_of(one) == files_of(other) != ()


def open_storage(url: str) -> Storage:
    """Return the storage that a URL names, without changing anything. Raises CannotOpen if it can't be used.

    The URL's secrets are hidden from now on.
    """
    storage = storage_of(url)
    if isinstance(storage, SqliteStorage):
        storage.inspect()
    return storage


def storage_of(url: str) -> Storage:
    """Return the storage that a URL names, without looking at it, and hide the URL's secrets from now on.

    Raises CannotOpen if the URL names none.
    """
    redaction.hide(secrets_of(url))
    path = sqlite_path(url)
    if path is not None:
        return SqliteStorage(path)
    if url.startswith(("postgresql://", "postgres://")):
        return PostgresStorage(url)
    raise CannotOpen("the database must be named as sqlite:///PATH or postgresql://USER@HOST/NAME")
