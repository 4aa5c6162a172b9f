"""How much room a disk has left."""

import os
from pathlib import Path
from typing import Final

from jangteo.storage.diagnosis import Diagnosis, danger, note, ok

_FULL_BYTES: Final = 500_000_000
_LOW_SHARE: Final = 0.1
_GIGABYTE: Final = 1_000_000_000
_ROOM: Final = "make room: while a disk is full, orders get 503"


def examine_disk(subject: str, folder: Path) -> Diagnosis:
    """Examine the disk of a folder: under 500 MB free is a danger, under a tenth of it worth a note."""
    try:
        disk = os.statvfs(folder)
    except OSError as error:
        return note(subject, f"{folder} can't be examined ({error.strerror})")
    free, size = disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
    found = f"{free / _GIGABYTE:,.1f} of {size / _GIGABYTE:,.1f} GB are free in {folder}"
    if free < _FULL_BYTES:
        return danger(subject, found, _ROOM)
    return note(subject, found, _ROOM) if free < size * _LOW_SHARE else ok(subject, found)
