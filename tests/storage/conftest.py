from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from jangteo.storage.best_sellers import refresh
from tests.storage.shops import Shop


@pytest.fixture
def kept(database: str) -> Iterator[Shop]:
    """A small shop, not served by anyone, on either kind of database."""
    with closing(Shop(database)) as shop:
        shop.set_up()
        yield shop


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is too little for a step."""
    monkeypatch.setattr(refresh, "FEW", 0)
