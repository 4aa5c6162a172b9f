"""What a platform says of events, and what becomes of them: rejected, put off, stopped; sent again, purged."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from time import monotonic, sleep
from typing import Any

import pytest

from jangteo.core.book import Command
from jangteo.core.relay import ResumePlatform, RetryEvents, StartReplay
from jangteo.delivery import maintenance, retry_schedule
from jangteo.delivery.sinks.base import Gone, Later
from jangteo.engine.batch import Failed, Submission, commit
from jangteo.storage.audit import findings
from jangteo.storage.event_queries import DeliveryState, read_failed_events, read_state
from jangteo.storage.urls import open_storage
from tests.delivery.platform import Platform
from tests.serving import ServedShop

WITHIN_S = 30


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch) -> Platform:
    """Where all shops of this test send their events, without the pauses of an ordinary day."""
    there = Platform()
    monkeypatch.setattr("jangteo.app.open_sink", lambda *_: there)
    monkeypatch.setattr(maintenance, "EVERY_S", 0.02)
    monkeypatch.setattr(retry_schedule, "RETRY_DELAYS_S", (0.05, 0.05))
    return there


def state(shop: ServedShop) -> DeliveryState:
    with closing(shop.shop.storage.connect()) as connection, connection.snapshot(datetime.now(UTC)) as snapshot:
        return read_state(snapshot)


def until(shop: ServedShop, what: Callable[[DeliveryState], bool]) -> DeliveryState:
    """The state, once it is so. The relay writes it down; nobody says when."""
    end = monotonic() + WITHIN_S
    while not what(found := state(shop)):
        assert monotonic() < end, found
        sleep(0.02)
    return found


def done(shop: ServedShop, command: Command) -> None:
    """As an operator does it, from elsewhere."""
    with closing(open_storage(shop.shop.settings.database).connect()) as connection:
        (answer,) = commit(connection, [Submission(command)], lambda: datetime.now(UTC)).outcomes
        assert not isinstance(answer, Failed)


def books_are_right(shop: ServedShop) -> None:
    with closing(shop.shop.storage.connect()) as connection, connection.snapshot(datetime.now(UTC)) as snapshot:
        assert [finding.broken for finding in findings(snapshot) if finding.broken] == []


def ordered(shop: ServedShop, count: int, *, cancelled: tuple[int, ...] = ()) -> None:
    """So many orders, from 1 on, and some of them cancelled."""
    user, product = shop.http.user(balance=1_000_000), shop.http.product(stock=1_000)
    for number in range(1, count + 1):
        assert shop.http.order(user, (product, 1)).status_code == 201
        if number in cancelled:
            assert shop.http.post(f"/orders/{number}/cancel").status_code == 200


def rejecting(*orders: int) -> Callable[[dict[str, Any]], str | None]:
    return lambda event: "HTTP 422: strange" if int(event["subject"]) in orders else None


def test_a_rejected_event_is_set_aside_and_holds_up_no_other(platform: Platform, shop: ServedShop) -> None:
    tried: list[str] = []

    def rejects(event: dict[str, Any]) -> str | None:
        if event["subject"] == "2":
            tried.append(event["type"])
            return "HTTP 422: strange"
        return None

    platform.rejects = rejects
    ordered(shop, 5)
    platform.wait_until(lambda there: len(there.sent) == 4)
    until(shop, lambda state: (state.waiting, state.to_be_retried, state.dead_letters) == (0, 0, 1))
    assert len(tried) == len(retry_schedule.RETRY_DELAYS_S) + 1
    with closing(shop.shop.storage.connect()) as connection, connection.snapshot(datetime.now(UTC)) as snapshot:
        [event] = read_failed_events(snapshot, None, 10)
    assert (event.is_dead_letter, event.attempts, event.reason) == (True, len(tried), "HTTP 422: strange")
    # An operator has the platform mended.
    platform.rejects = lambda _: None
    done(shop, RetryEvents((event.place,)))
    platform.wait_until(lambda there: there.sent[-1] == "order-2-paid")
    assert until(shop, lambda state: state.dead_letters + state.to_be_retried == 0).waiting == 0
    assert len(platform.sent) == len(set(platform.sent)) == 5
    books_are_right(shop)


def test_what_happens_to_an_order_waits_for_its_rejected_event(platform: Platform, shop: ServedShop) -> None:
    failed_events = 2
    platform.rejects = lambda event: "no" if event["subject"] == "1" and platform.asked <= failed_events else None
    ordered(shop, 3, cancelled=(1, 3))
    platform.wait_until(lambda there: len(there.sent) == 5)
    until(shop, lambda state: state.to_be_retried == 0)
    assert platform.sent.index("order-1-paid") < platform.sent.index("order-1-cancelled")
    assert platform.sent.index("order-3-paid") < platform.sent.index("order-3-cancelled")


def test_an_event_that_is_set_aside_lets_the_next_of_its_order_go(platform: Platform, shop: ServedShop) -> None:
    platform.rejects = lambda event: "no" if (event["subject"], event["type"][-4:]) == ("1", "paid") else None
    ordered(shop, 2, cancelled=(1,))
    platform.wait_until(lambda there: len(there.sent) == 2)
    assert set(platform.sent) == {"order-1-cancelled", "order-2-paid"}
    until(shop, lambda state: (state.dead_letters, state.to_be_retried) == (1, 0))


def test_tries_go_on_after_a_restart(
    platform: Platform, open_shop: Callable[..., ServedShop], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry_schedule, "RETRY_DELAYS_S", (0.0, 3600.0))
    first = open_shop()
    platform.rejects = rejecting(1)
    ordered(first, 1)
    until(first, lambda state: state.to_be_retried == 1)
    platform.wait_until(lambda there: there.asked == 2)
    first.close()
    second = open_shop()
    second.http.post("/orders/1/cancel")
    ordered(second, 1)
    platform.wait_until(lambda there: there.sent == ["order-2-paid"])
    # What happened to the order waits with it, also for a relay that has not seen the rejection.
    until(second, lambda state: (state.waiting, state.to_be_retried) == (0, 2))
    assert platform.sent == ["order-2-paid"]


def test_a_platform_that_asks_for_patience_is_left_alone_so_long(platform: Platform, shop: ServedShop) -> None:
    platform.fails = Later("HTTP 429", after_s=3600)
    ordered(shop, 1)
    platform.wait_until(lambda there: there.asked == 1)
    ordered(shop, 3)
    found = until(shop, lambda state: state.platform is not None and state.platform.failing_since is not None)
    assert found.platform is not None
    assert found.platform.last_error == "HTTP 429"
    assert found.waiting == 4
    assert platform.asked == 1


def test_a_platform_that_failed_is_told_to_be_well_again(platform: Platform, shop: ServedShop) -> None:
    platform.fails = Later("no connection")
    ordered(shop, 2)
    until(shop, lambda state: state.platform is not None and state.platform.failing_since is not None)
    platform.fails = None
    platform.wait_until(lambda there: len(there.sent) == 2)
    found = until(shop, lambda state: state.platform is not None and state.platform.failing_since is None)
    assert found.platform is not None
    assert found.platform.last_error == "no connection"


def test_a_platform_that_is_gone_is_not_asked_until_an_operator_says_so(
    platform: Platform, open_shop: Callable[..., ServedShop]
) -> None:
    shop = open_shop()
    platform.fails = Gone("HTTP 410")
    ordered(shop, 2)
    until(shop, lambda state: state.platform is not None and state.platform.stopped_at is not None)
    shop.close()
    asked, platform.fails = platform.asked, None
    # Not even by a next server.
    shop = open_shop()
    ordered(shop, 1)
    assert until(shop, lambda state: state.waiting == 3).platform is not None
    assert (platform.asked, platform.sent) == (asked, [])
    done(shop, ResumePlatform())
    platform.wait_until(lambda there: len(there.sent) == 3)


def test_a_defect_holds_events_up_but_does_not_end_the_relay(platform: Platform, shop: ServedShop) -> None:
    platform.fails = KeyError("a defect")
    ordered(shop, 1)
    platform.wait_until(lambda there: there.asked >= 3)
    platform.fails = None
    platform.wait_until(lambda there: there.sent == ["order-1-paid"])


def test_a_span_of_time_is_sent_again_and_new_events_come_in_between(
    platform: Platform, shop: ServedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "_REPLAYED_AT_ONCE", 2)
    ordered(shop, 6, cancelled=(2,))
    platform.wait_until(lambda there: len(there.sent) == 7)
    until(shop, lambda state: state.waiting == 0)
    before = list(platform.sent)
    now = datetime.now(UTC)
    done(shop, StartReplay(now - timedelta(hours=1), now))
    platform.wait_until(lambda there: len(there.sent) == 14)
    assert sorted(platform.sent[7:]) == sorted(before)
    again = platform.sent[7:]
    assert again.index("order-2-paid") < again.index("order-2-cancelled")
    ordered(shop, 1)
    platform.wait_until(lambda there: len(there.sent) == 15)
    books_are_right(shop)


def test_what_was_sent_long_ago_is_forgotten(
    platform: Platform, open_shop: Callable[..., ServedShop], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "PURGE_EVERY_S", 0.02)
    shop = open_shop(keep_events_days=0.000_001)
    platform.rejects = rejecting(3)
    ordered(shop, 6, cancelled=(2,))
    # The newest stays, and so does the rejected one; the order's lone event_batch keeps nobody else.
    until(shop, lambda state: (state.purged, state.waiting, state.dead_letters) == (5, 0, 1))
    books_are_right(shop)
    platform.fails = Later("gone for a while")
    ordered(shop, 2)
    assert until(shop, lambda state: state.purged == 6).waiting == 2
    platform.fails = None
    platform.wait_until(lambda there: len(there.sent) == 8)
    until(shop, lambda state: state.purged == 7)
    books_are_right(shop)
    assert len(set(platform.sent)) == 8


def test_orders_do_not_wait_for_a_platform_that_hangs(platform: Platform, shop: ServedShop) -> None:
    # One that is asked and never answers: orders go on, and the shop closes in time.
    async def hang(events: Sequence[bytes]) -> Mapping[int, str]:
        platform.asked += 1
        await asyncio.Event().wait()
        return {}

    platform.send = hang  # type: ignore[method-assign]  # for this one
    ordered(shop, 3)
    assert state(shop).waiting == 3
    begun = monotonic()
    shop.close()
    assert monotonic() - begun < 10
