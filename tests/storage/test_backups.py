"""The newest backup in a folder: its age decides."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from jangteo.storage.backups import BACKUP_AGE_MAX, examine_backups

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)


def backup(path: Path, age: timedelta, content: str = "rows") -> None:
    path.write_text(content)
    at = (NOW - age).timestamp()
    os.utime(path, (at, at))


def test_the_newest_backup_decides(tmp_path: Path) -> None:
    backup(tmp_path / "older.db", timedelta(days=3))
    backup(tmp_path / "newest.db", BACKUP_AGE_MAX)
    found = examine_backups(tmp_path, NOW)
    assert (found.severity, found.found) == ("ok", "the newest, newest.db, is 26.0 hours old")


def test_a_backup_older_than_a_day_and_two_hours_is_a_danger(tmp_path: Path) -> None:
    backup(tmp_path / "older.db", BACKUP_AGE_MAX + timedelta(seconds=1))
    assert examine_backups(tmp_path, NOW).severity == "danger"


def test_an_empty_file_is_no_backup(tmp_path: Path) -> None:
    backup(tmp_path / "empty.db", timedelta(), content="")
    assert examine_backups(tmp_path, NOW).line.endswith("has none: make one, and restore it once as a test")


def test_a_folder_is_a_backup_too(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    assert examine_backups(tmp_path, datetime.now(UTC)).severity == "ok"


def test_a_missing_folder_is_a_danger(tmp_path: Path) -> None:
    found = examine_backups(tmp_path / "nowhere", NOW)
    assert (found.severity, "No such file" in found.found) == ("danger", True)
