"""The identity of a shop's files: that one was deleted, replaced or linked again shows before an answer is sent.

SQLite keeps its files open and doesn't notice: it goes on committing into a file that no path leads to, and all of that
is gone with the process. So every transaction compares what the paths lead to with what was opened.
"""

import os
from collections.abc import Iterable, Mapping
from math import inf
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Final, NamedTuple

import msgspec
import structlog

from jangteo.storage.errors import FileLost

log = structlog.get_logger()

DATABASE: Final = ""
WAL: Final = "-wal"
WAL_INDEX: Final = "-shm"
LOCK: Final = ".lock"
"""The suffixes of the files that stay the same while a server has the shop open."""
CHECK_EVERY_S: Final = 0.1
"""How often all files are compared while transactions go on, at most."""


class FileIdentity(NamedTuple):
    """What a path leads to."""

    device: int
    inode: int
    links: int
    """How many names the file has: 1. By another name SQLite would look for another write-ahead log."""


class ShopFiles:
    """Compares a shop's files with those that were recorded, in any thread."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self._committed = (self._path + DATABASE, self._path + WAL)
        self._check_at = -inf
        self._expected: dict[str, FileIdentity] = {}
        self._logs = True
        self._logging = Lock()
        self._logged: str | None = None

    def record(self, descriptors: Mapping[str, int], suffixes: Iterable[str] = ()) -> None:
        """Expect the paths to lead to these open files, by suffix, and to what further ones lead to now.

        Raises FileLost if one of them doesn't, or has another name.
        """
        for suffix, descriptor in descriptors.items():
            self._expect(suffix, _identity_of(os.fstat(descriptor)))
        for suffix in suffixes:
            self._expect(suffix, _identify(self._path + suffix))
        self.check()

    def clear(self) -> None:
        """Expect nothing any more."""
        self._expected = {}

    def check(self) -> None:
        """Raise FileLost if a path doesn't lead to the file that was recorded."""
        self._compare(self._expected)
        self._check_at = monotonic() + CHECK_EVERY_S
        if self._logged is not None:
            self._log(None)

    def check_before(self) -> None:
        """Check before a transaction: every CHECK_EVERY_S, and each time while a file is lost."""
        if monotonic() >= self._check_at:
            self.check()

    def check_commit(self) -> None:
        """Check after each commit the files that it went into: a few microseconds."""
        self._compare(path for path in self._committed if path in self._expected)

    def loss(self) -> str | None:
        """Return what happened to the database file itself, in one line; None if it is where it was.

        Other files are no loss for good: when SQLite closes a database it writes everything into this one.
        """
        expected = self._expected.get(self._path)
        found = _identify(self._path)
        if expected is None or (found is not None and found[:2] == expected[:2]):
            return None
        return self._explain(self._path, found)

    def to_text(self) -> str:
        """Return the expected identities for another process, which passes them to `expect`."""
        return msgspec.json.encode(self._expected).decode()

    def expect(self, text: str, *, logs: bool) -> None:
        """Expect what another process has recorded. Of all processes one `logs` what is lost."""
        self._expected = msgspec.json.decode(text, type=dict[str, FileIdentity])
        self._logs = logs

    def _compare(self, paths: Iterable[str]) -> None:
        for path in paths:
            found = _identify(path)
            if found != self._expected[path]:
                self._check_at = -inf
                reason = self._explain(path, found)
                self._log(reason)
                raise FileLost(reason)

    def _expect(self, suffix: str, found: FileIdentity | None) -> None:
        path = self._path + suffix
        if found is None or found.links != 1:
            raise FileLost(self._explain(path, found))
        self._expected[path] = found

    def _log(self, reason: str | None) -> None:
        """Log once for all threads what has changed, and when it is undone."""
        with self._logging:
            if not self._logs or reason == self._logged:
                return
            self._logged = reason
        if reason is None:
            log.info("database files are back")
        else:
            log.error("database files lost", reason=reason)

    def _explain(self, path: str, found: FileIdentity | None) -> str:
        """Say what happened and what to do, in one line."""
        if found is not None and found.links > 1:
            return f"{path} has {found.links} names (hard links); nothing is answered now: remove all but this one"
        what = f"{path} {'is gone' if found is None else 'was replaced by another file'}; nothing is answered now: "
        suffix = path.removeprefix(self._path)
        if suffix == DATABASE:
            return (
                f"{what}put the former file back; or stop the server, move {path}{WAL} and {path}{WAL_INDEX} away, "
                "and serve a backup"
            )
        if suffix == LOCK:
            return f"{what}restart the server"
        return f"{what}restart the server; its regular end writes everything into {self._path}"


def _identify(path: str) -> FileIdentity | None:
    """Return what the path leads to; None if it leads nowhere. A symbolic link is another file: SQLite resolves it."""
    try:
        return _identity_of(os.lstat(path))
    except OSError:
        return None


def _identity_of(status: os.stat_result) -> FileIdentity:
    return FileIdentity(status.st_dev, status.st_ino, status.st_nlink)
