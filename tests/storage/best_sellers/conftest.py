from __future__ import annotations

import pytest

from jangteo.core import best_sellers


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """No change is too small for a refresh."""
    monkeypatch.setattr(best_sellers, "MIN_CHANGES", 0)
