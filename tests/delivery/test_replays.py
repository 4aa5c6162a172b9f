"""What is sent again stays in order too, whatever the platform says of it this time."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from threading import Event

import pytest

from jangteo.core.relay import StartReplay
from jangteo.delivery import maintenance, retry_schedule
from jangteo.engine.batch import Submission, commit
from jangteo.storage.urls import open_storage
from tests.serving import ServedShop


class Moody:
    """A platform that rejects an order's payment once, when it is told to; and counts what it has taken."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.rejects_payment = False
        self.wanted = 2
        self.enough = Event()

    async def send(self, events: Sequence[bytes]) -> Mapping[int, str]:
        rejected = {}
        for place, event in enumerate(events):
            kind = json.loads(event)["type"].rpartition(".")[2]
            if kind == "paid" and self.rejects_payment:
                self.rejects_payment = False
                rejected[place] = "not now"
            else:
                self.taken.append(kind)
        if len(self.taken) >= self.wanted:
            self.enough.set()
        return rejected

    async def close(self) -> None:
        """Nothing is held."""

    def wait_for(self, wanted: int) -> None:
        self.wanted = wanted
        if len(self.taken) < wanted:
            self.enough.clear()
            assert len(self.taken) >= wanted or self.enough.wait(30), self.taken


@pytest.fixture
def moody(monkeypatch: pytest.MonkeyPatch) -> Moody:
    platform = Moody()
    monkeypatch.setattr("jangteo.app.open_sink", lambda *_: platform)
    return platform


def test_what_comes_behind_an_event_that_is_rejected_now_waits_for_it(
    moody: Moody, open_shop: Callable[..., ServedShop], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "_REPLAYED_AT_ONCE", 1)
    monkeypatch.setattr(retry_schedule, "RETRY_DELAYS_S", (0.5,))
    shop = open_shop()
    user, product = shop.http.user(balance=9_000), shop.http.product()
    shop.http.order(user, (product, 1))
    shop.http.post("/orders/1/cancel")
    moody.wait_for(2)
    # What was sent is marked when the shop is closed.
    shop.close()
    moody.rejects_payment = True
    begun = datetime.now(UTC)
    connection = open_storage(shop.shop.settings.database).connect()
    replay = StartReplay(begun - timedelta(days=1), begun)
    commit(connection, [Submission(replay)], lambda: begun)
    connection.close()
    open_shop()
    moody.wait_for(4)
    assert not moody.rejects_payment
    assert moody.taken == ["paid", "cancelled", "paid", "cancelled"]
