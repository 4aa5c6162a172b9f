from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.storage.shops import Shop


@pytest.fixture
def kept(database: str) -> Iterator[Shop]:
    """A small shop, not served by anyone, on either kind of database."""
    with closing(Shop(database)) as shop:
        shop.set_up()
        yield shop
