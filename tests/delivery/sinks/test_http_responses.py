"""Parsing Retry-After."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from jangteo.delivery.sinks.http_responses import parse_retry_after


@pytest.mark.parametrize("text", ["", "-1", "1.5", "Tue, 99 Nov 2026 01:20:18 GMT", "²", "1e3", "a" * 10_000])
def test_an_invalid_retry_after_is_none(text: str) -> None:
    assert parse_retry_after(text) is None


def test_a_retry_after_may_be_a_date() -> None:
    def seconds_until(ahead: timedelta) -> float | None:
        return parse_retry_after(format_datetime(datetime.now(UTC) + ahead, usegmt=True))

    soon = seconds_until(timedelta(seconds=100))
    assert soon is not None
    assert 90 < soon <= 100
    assert seconds_until(timedelta(hours=-1)) == 0
    assert seconds_until(timedelta(days=1)) == 3_600
    assert parse_retry_after("9" * 5_000) == 3_600
