"""From a database URL to its storage."""

from pathlib import Path

from jangteo.storage.errors import CannotOpen
from jangteo.storage.port import Storage
from jangteo.storage.sqlite_file import SqliteStorage


def sqlite_path(url: str) -> Path | None:
    """The file that `sqlite:///relative.db` or `sqlite:////absolute.db` names; None for other URLs."""
    prefix = "sqlite:///"
    path = url.removeprefix(prefix)
    return Path(path) if url.startswith(prefix) and path else None


def open_storage(url: str) -> Storage:
    """The storage at a URL, as yet untouched. Raises CannotOpen where there is none that could be used."""
    path = sqlite_path(url)
    if path is not None:
        storage = SqliteStorage(path)
        storage.inspect()
        return storage
    if url.startswith(("postgresql://", "postgres://")):
        raise CannotOpen("PostgreSQL is not supported yet by this version: use sqlite:///PATH")
    raise CannotOpen("the database must be named as sqlite:///PATH, for example sqlite:///shop.db")
