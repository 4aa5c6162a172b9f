"""Examines the file of a shop on SQLite: where it lies, and how much room there is."""

import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from jangteo.storage.diagnosis import Diagnosis, danger, note, ok
from jangteo.storage.free_disk import examine_disk

_MOUNTS: Final = Path("/proc/mounts")
_MEMORY: Final = frozenset({"tmpfs", "ramfs"})
_NETWORK: Final = frozenset({"nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "fuse.glusterfs", "ceph", "fuse.ceph"})
_SUBJECT: Final = "file system"


def examine_durability(path: Path) -> list[Diagnosis]:
    """Examine what endangers committed data. Everything else about durability each connection sets itself."""
    return [_file_system(path)]


def examine_file(path: Path) -> Iterator[Diagnosis]:
    """Examine what can be seen without opening the file."""
    yield ok("version", f"SQLite {sqlite3.sqlite_version}")
    yield from examine_durability(path)
    yield examine_disk("free disk", path.parent)


def _file_system(path: Path) -> Diagnosis:
    kind = None
    with suppress(OSError):
        kind = file_system_of(path, _MOUNTS.read_text())
    if kind is None:
        return note(_SUBJECT, "it can't be seen which one holds the database")
    if kind in _MEMORY:
        return danger(
            _SUBJECT, f"{path} is in memory ({kind}), and gone when the machine restarts", "move it to a disk"
        )
    if kind in _NETWORK:
        return danger(
            _SUBJECT,
            f"{path} is on a network file system ({kind}), whose locks and flushes SQLite can't rely on",
            "move it to a local disk",
        )
    return ok(_SUBJECT, kind)


def file_system_of(path: Path, mounts: str) -> str | None:
    """Return the kind of file system that holds a path, by the lines of /proc/mounts; None if none does."""
    found, kind = Path(), None
    for line in mounts.splitlines():
        _, point, its_kind, *_ = line.split(" ")
        # Spaces and the like are written as octal escapes.
        folder = Path(point.encode("latin-1", "replace").decode("unicode_escape"))
        # A later mount covers earlier ones of the same folder.
        if path.is_relative_to(folder) and (kind is None or folder.is_relative_to(found)):
            found, kind = folder, its_kind
    return kind
