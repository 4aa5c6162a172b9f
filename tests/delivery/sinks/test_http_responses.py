from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from jangteo.delivery.sinks.http_responses import wait_asked_for


@pytest.mark.parametrize("text", ["", "-1", "1.5", "Tue, 99 Nov 2026 01:20:18 GMT", "²", "1e3", "a" * 10_000])
def test_a_garbled_retry_after_is_none(text: str) -> None:
    assert wait_asked_for(text) is None


def test_a_retry_after_may_be_a_date() -> None:
    def asked(ahead: timedelta) -> float | None:
        return wait_asked_for(format_datetime(datetime.now(UTC) + ahead, usegmt=True))

    soon = asked(timedelta(seconds=100))
    assert soon is not None
    assert 90 < soon <= 100
    assert asked(timedelta(hours=-1)) == 0
    assert asked(timedelta(days=1)) == 3_600
    assert wait_asked_for("9" * 5_000) == 3_600
