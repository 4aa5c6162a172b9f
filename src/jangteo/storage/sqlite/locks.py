"""The locks that keep a second server out: of a file beside the database, and of the database file itself.

The lock of the file beside it is the one that every version knows. The lock of the database file also keeps out who
comes by another name, or after the file beside it was deleted.

SQLite has POSIX locks on the same file, which a process loses when it closes any descriptor of the file. The lock here
is one of an open file description: whichever processes have the descriptor hold it, and it is on a byte that SQLite
never locks. For the sake of SQLite's locks the descriptor stays open for as long as the process has connections.
"""

import errno
import fcntl
import os
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from jangteo.storage.errors import CannotOpen
from jangteo.storage.sqlite.files import DATABASE, LOCK

_ATTEMPTS: Final = 40
_PAUSE_S: Final = 0.05
_BYTE: Final = 2**62
"""Far beyond the largest database."""


class ServerLocks:
    """Both locks of one server. They last until every process that has the descriptors has ended."""

    def __init__(self) -> None:
        self.descriptors: dict[str, int] = {}
        """Of the locked files, by the suffixes of their paths."""

    def acquire(self, path: Path, *, create: bool) -> None:
        """Lock the file beside the database, then the database; `create` an empty one. Raises CannotOpen."""
        self._acquire(path, LOCK, _lock_whole, os.O_CREAT)
        self._acquire(path, DATABASE, _lock_byte, os.O_CREAT if create else 0)

    def release(self) -> None:
        """Close the descriptors. The process must have no connection to the database any more."""
        for descriptor in self.descriptors.values():
            os.close(descriptor)
        self.descriptors.clear()

    def _acquire(self, path: Path, suffix: str, lock: Callable[[int], None], create: int) -> None:
        try:
            descriptor = os.open(f"{path}{suffix}", os.O_RDWR | os.O_CLOEXEC | create, 0o644)
        except OSError as error:
            self.release()
            raise CannotOpen(f"{path}{suffix} can't be written: {error.strerror}") from error
        self.descriptors[suffix] = descriptor
        for _ in range(_ATTEMPTS):
            try:
                lock(descriptor)
            except BlockingIOError:
                # The writer process of a server that was killed may still be committing its last batch.
                time.sleep(_PAUSE_S)
            else:
                return
        self.release()
        raise CannotOpen(f"{path} is being served by another process; stop that one first")


def _lock_whole(descriptor: int) -> None:
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _lock_byte(descriptor: int) -> None:
    if sys.platform != "linux":
        return
    # struct flock: type, whence, start, length, process id (0 for such locks).
    lock = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, _BYTE, 1, 0)
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, lock)
    except OSError as error:
        # A system that imitates Linux may not have such locks.
        if error.errno != errno.EINVAL:
            raise
