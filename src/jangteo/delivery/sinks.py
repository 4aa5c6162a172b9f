"""Where events go: one class a kind of platform, chosen by URL."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol


class CannotUse(Exception):
    """The platform can't be used as it was named; the message is one line for the operator."""


class Sink(Protocol):
    """A platform that takes events."""

    def send(self, events: Sequence[bytes]) -> None:
        """Deliver these, in order. Raises OSError where that can't be done now: they are sent again later."""

    def close(self) -> None:
        """Let go of it."""


class JsonLines:
    """A file with one event a line, each batch flushed to disk before it counts as delivered."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def check(self) -> None:
        """Raises CannotUse where the path can't be such a file. Changes nothing."""
        folder = self._path.absolute().parent
        if not folder.is_dir():
            raise CannotUse(f"the platform's folder {folder} is not there: create it first")
        if self._path.is_dir():
            raise CannotUse(f"the platform {self._path} is a folder, not a file")
        if not self._path.exists():
            return
        try:
            with self._path.open("rb") as file:
                first = file.read(1)
        except OSError as error:
            raise CannotUse(f"the platform {self._path} can't be read: {error.strerror}") from error
        if first not in (b"", b"{"):
            raise CannotUse(f"the platform {self._path} is no JSON Lines file; nothing was changed")

    def send(self, events: Sequence[bytes]) -> None:
        """Append the events, and flush them to disk."""
        try:
            if self._file is None:
                self._file = self._open()
            _write_all(self._file, b"".join(event + b"\n" for event in events))
            os.fdatasync(self._file)
        except OSError:
            # The next attempt opens the file anew and cuts off what this one may have left half-written.
            self.close()
            raise

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _open(self) -> int:
        opened = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        _cut_torn_line(opened)
        return opened


def open_sink(url: str) -> JsonLines:
    """The sink at a URL. Raises CannotUse where there is no such kind, or it can't be used."""
    path = url.removeprefix("file:")
    if not url.startswith("file:") or not path:
        raise CannotUse(f"the platform must be named as file:PATH, not {url.partition(':')[0]}:…")
    sink = JsonLines(Path(path))
    sink.check()
    return sink


def _write_all(file: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]


def _cut_torn_line(file: int) -> None:
    """Remove what a crash left of a last line; its event was never counted as delivered and comes again."""
    end = os.fstat(file).st_size
    start = end
    while start > 0:
        chunk_start = max(0, start - 65_536)
        chunk = os.pread(file, start - chunk_start, chunk_start)
        line_break = chunk.rfind(b"\n")
        if line_break >= 0:
            start = chunk_start + line_break + 1
            break
        start = chunk_start
    if start < end:
        os.ftruncate(file, start)
