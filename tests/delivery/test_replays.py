"""Replayed events stay in order too, even if the platform rejects some this time."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from threading import Event

import pytest

from jangteo.core.relay import StartReplay
from jangteo.delivery import replay as replay_job
from jangteo.delivery import retry_schedule
from jangteo.engine.batch import Submission, commit
from jangteo.storage.urls import open_storage
from tests.serving import ServedShop


class Moody:
    """A platform that rejects one payment when the test says so, and records what it accepts."""

    def __init__(self) -> None:
        self.accepted: list[str] = []
        self.rejects_payment = False
        self.wanted = 2
        self.enough = Event()

    async def send(self, events: Sequence[bytes]) -> Mapping[int, str]:
        rejected = {}
        for index, event in enumerate(events):
            kind = json.loads(event)["type"].rpartition(".")[2]
            if kind == "paid" and self.rejects_payment:
                self.rejects_payment = False
                rejected[index] = "not now"
            else:
                self.accepted.append(kind)
        if len(self.accepted) >= self.wanted:
            self.enough.set()
        return rejected

    async def close(self) -> None:
        """Do nothing."""

    def wait_for(self, wanted: int) -> None:
        self.wanted = wanted
        if len(self.accepted) < wanted:
            self.enough.clear()
            assert len(self.accepted) >= wanted or self.enough.wait(30), self.accepted


@pytest.fixture
def moody(monkeypatch: pytest.MonkeyPatch) -> Moody:
    platform = Moody()
    monkeypatch.setattr("jangteo.app.open_sink", lambda *_: platform)
    return platform


def test_replayed_events_wait_for_a_rejected_one_of_their_order(
    moody: Moody, open_shop: Callable[..., ServedShop], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay_job, "_EVENTS_PER_STEP", 1)
    monkeypatch.setattr(retry_schedule, "RETRY_DELAYS_S", (0.5,))
    shop = open_shop()
    user, product = shop.http.user(balance=9_000), shop.http.product()
    shop.http.order(user, (product, 1))
    shop.http.post("/orders/1/cancel")
    moody.wait_for(2)
    # A closing shop marks what was sent.
    shop.close()
    moody.rejects_payment = True
    now = datetime.now(UTC)
    connection = open_storage(shop.shop.settings.database).connect()
    replay = StartReplay(now - timedelta(days=1), now)
    commit(connection, [Submission(replay)], lambda: now)
    connection.close()
    open_shop()
    moody.wait_for(4)
    assert not moody.rejects_payment
    assert moody.accepted == ["paid", "cancelled", "paid", "cancelled"]
