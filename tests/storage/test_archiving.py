"""What a PostgreSQL server's last archived and last failed segment say about its backup."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from jangteo.storage.backups import BACKUP_AGE_MAX
from jangteo.storage.postgres import examination

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("archived_at", "failed_at", "severity"),
    [
        (NOW - HOUR, None, "ok"),
        (NOW - HOUR, NOW - 2 * HOUR, "ok"),
        (NOW - 2 * HOUR, NOW - HOUR, "danger"),
        (None, NOW, "danger"),
        (None, None, "note"),
        (NOW - BACKUP_AGE_MAX, None, "ok"),
        (NOW - BACKUP_AGE_MAX - HOUR, None, "note"),
    ],
)
def test_a_failure_after_the_last_success_is_a_danger(
    archived_at: datetime | None, failed_at: datetime | None, severity: str
) -> None:
    assert examination._archived(archived_at, failed_at, NOW).severity == severity
