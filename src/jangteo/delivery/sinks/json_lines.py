"""The file platform: appends events to a JSON Lines file."""

import asyncio
import fcntl
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from jangteo.delivery.sinks.base import InvalidPlatform, PlatformUnavailable

_CHUNK_BYTES: Final = 65_536


class JsonLines:
    """A file with one event a line, each batch flushed to disk before it counts as delivered."""

    def __init__(self, path: Path) -> None:
        self._path = path.resolve()
        self._file: int | None = None

    def check(self, shop_files: Collection[Path]) -> None:
        """Raises InvalidPlatform if the path can't be such a file, or is one of the shop's. Changes nothing."""
        folder = self._path.parent
        if self._path in shop_files:
            raise InvalidPlatform(f"the platform {self._path} is the shop's own database: name another file")
        if not folder.is_dir():
            raise InvalidPlatform(f"the platform's folder {folder} is not there: create it first")
        if not self._path.exists():
            if not os.access(folder, os.W_OK):
                raise InvalidPlatform(f"the platform's folder {folder} can't be written")
            return
        if not self._path.is_file():
            raise InvalidPlatform(f"the platform {self._path} is no file")
        if not os.access(self._path, os.R_OK | os.W_OK):
            raise InvalidPlatform(f"the platform {self._path} can't be read and written")
        with self._path.open("rb") as file:
            first = file.read(1)
        if first not in (b"", b"{"):
            raise InvalidPlatform(f"the platform {self._path} is no JSON Lines file; nothing was changed")

    async def send(self, events: Sequence[bytes]) -> Mapping[int, str]:
        """Append the events, and flush them to disk. Raises PlatformUnavailable."""
        writing = asyncio.ensure_future(asyncio.to_thread(self.append, events))
        try:
            await asyncio.shield(writing)
        except OSError as error:
            raise PlatformUnavailable(f"the file can't be written: {error.strerror}") from error
        except asyncio.CancelledError:
            # A thread can't be cancelled: wait until it has written.
            await asyncio.wait({writing})
            raise
        return {}

    async def probe(self) -> str:
        """Check that the file, or its folder if there is none yet, can be written. Raises PlatformUnavailable."""
        try:
            self.check(())
        except InvalidPlatform as error:
            raise PlatformUnavailable(str(error)) from error
        return "can be written"

    async def close(self) -> None:
        """Close the file."""
        self._close_file()

    def append(self, events: Sequence[bytes]) -> None:
        """Write the events, and flush them to disk. Raises OSError."""
        try:
            if self._file is None or self._has_moved(self._file):
                self._close_file()
                self._file = self._open()
            # The lock keeps two writers apart: one would take the other's unfinished line for a torn one.
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _end_last_line(self._file)
            _write_all(self._file, b"".join(event + b"\n" for event in events))
            os.fdatasync(self._file)
            fcntl.flock(self._file, fcntl.LOCK_UN)
        except OSError:
            # The next attempt opens the file again and removes a half-written line.
            self._close_file()
            raise

    def _close_file(self) -> None:
        # Even if closing fails, the descriptor must not be used again.
        file, self._file = self._file, None
        if file is not None:
            os.close(file)

    def _has_moved(self, file: int) -> bool:
        """Tell whether the file was renamed or removed, as log rotation does: then a new one is created."""
        try:
            current = self._path.stat()
        except FileNotFoundError:
            return True
        return not os.path.samestat(current, os.fstat(file))

    def _open(self) -> int:
        return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)


def _write_all(file: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]


def _end_last_line(file: int) -> None:
    """Remove a last line that a crash has cut short: its event did not count as delivered and is sent again.

    A last line that only lacks its line break gets one.
    """
    end = os.fstat(file).st_size
    start = _start_of_last_line(file, end)
    if start == end:
        return
    try:
        msgspec.json.decode(os.pread(file, end - start, start))
    except msgspec.DecodeError:
        os.ftruncate(file, start)
    else:
        _write_all(file, b"\n")


def _start_of_last_line(file: int, end: int) -> int:
    start = end
    while start > 0:
        chunk_start = max(0, start - _CHUNK_BYTES)
        line_break = os.pread(file, start - chunk_start, chunk_start).rfind(b"\n")
        if line_break >= 0:
            return chunk_start + line_break + 1
        start = chunk_start
    return start
