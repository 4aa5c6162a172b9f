"""The newest backup in a folder that an operator names."""

import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from jangteo.storage.diagnosis import Diagnosis, danger, ok

BACKUP_AGE_MAX: Final = timedelta(hours=26)
"""A day, and two hours for the backup itself."""
_SUBJECT: Final = "backups"


def examine_backups(folder: Path, now: datetime) -> Diagnosis:
    """Examine the age of the folder's newest entry, which may be a folder itself; an empty file is no backup."""
    try:
        newest = max(_backups(folder), key=lambda entry: entry.stat().st_mtime, default=None)
        if newest is None:
            return danger(_SUBJECT, f"{folder} has none", "make one, and restore it once as a test")
        age = timedelta(seconds=now.timestamp() - newest.stat().st_mtime)
    except OSError as error:
        return danger(_SUBJECT, f"{folder} can't be read ({error.strerror})", "name the folder with the backups")
    found = f"the newest, {newest.name}, is {age.total_seconds() / 3600:,.1f} hours old"
    if age > BACKUP_AGE_MAX:
        return danger(_SUBJECT, found, "find out why there is no newer one")
    return ok(_SUBJECT, found)


def _backups(folder: Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        yield from (entry for entry in entries if entry.is_dir() or entry.stat().st_size)
