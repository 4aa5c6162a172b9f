"""How the relay handles a platform that rejects events, fails, or is gone; replays and purges beside it."""

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
from jangteo.delivery import maintenance, replay, retention, retry_schedule
from jangteo.delivery.sinks.base import PlatformGone, PlatformUnavailable
from jangteo.engine.batch import Failed, Submission, commit
from jangteo.storage.audit import findings
from jangteo.storage.event_queries import DeliveryState, read_failed_events, read_state
from jangteo.storage.urls import open_storage
from tests.delivery.platform import Platform
from tests.serving import ServedShop

WITHIN_S = 30


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch) -> Platform:
    """The platform of every shop in the test, with short pauses."""
    there = Platform()
    monkeypatch.setattr("jangteo.app.open_sink", lambda *_: there)
    monkeypatch.setattr(maintenance, "INTERVAL_S", 0.02)
    monkeypatch.setattr(retry_schedule, "RETRY_DELAYS_S", (0.05, 0.05))
    return there


def state(shop: ServedShop) -> DeliveryState:
    with closing(shop.shop.storage.connect()) as connection, connection.snapshot(datetime.now(UTC)) as snapshot:
        return read_state(snapshot)


def until(shop: ServedShop, condition: Callable[[DeliveryState], bool]) -> DeliveryState:
    """Poll the state until the condition holds, and return it."""
    end = monotonic() + WITHIN_S
    while not condition(found := state(shop)):
        assert monotonic() < end, found
        sleep(0.02)
    return found


def submit(shop: ServedShop, command: Command) -> None:
    """Commit a command from another connection, as an operator does."""
    with closing(open_storage(shop.shop.settings.database).connect()) as connection:
        (outcome,) = commit(connection, [Submission(command)], lambda: datetime.now(UTC)).outcomes
        assert not isinstance(outcome, Failed)


def assert_audit_passes(shop: ServedShop) -> None:
    with closing(shop.shop.storage.connect()) as connection, connection.snapshot(datetime.now(UTC)) as snapshot:
        assert [finding.broken for finding in findings(snapshot) if finding.broken] == []


def place_orders(shop: ServedShop, count: int, *, cancelled: tuple[int, ...] = ()) -> None:
    """Place `count` orders, and cancel those with the given numbers."""
    user, product = shop.http.user(balance=1_000_000), shop.http.product(stock=1_000)
    for number in range(1, count + 1):
        assert shop.http.order(user, (product, 1)).status_code == 201
        if number in cancelled:
            assert shop.http.post(f"/orders/{number}/cancel").status_code == 200


def rejecting(*orders: int) -> Callable[[dict[str, Any]], str | None]:
    return lambda event: "HTTP 422: strange" if int(event["subject"]) in orders else None


def test_a_rejected_event_becomes_a_dead_letter_and_blocks_no_other_order(platform: Platform, shop: ServedShop) -> None:
    attempts: list[str] = []

    def rejects(event: dict[str, Any]) -> str | None:
        if event["subject"] == "2":
            attempts.append(event["type"])
            return "HTTP 422: strange"
        return None

    platform.rejects = rejects
    place_orders(shop, 5)
    platform.wait_until(lambda there: len(there.sent) == 4)
    until(shop, lambda state: (state.waiting, state.retrying, state.dead_letters) == (0, 0, 1))
    assert len(attempts) == len(retry_schedule.RETRY_DELAYS_S) + 1
    with closing(shop.shop.storage.connect()) as connection, connection.snapshot(datetime.now(UTC)) as snapshot:
        [event] = read_failed_events(snapshot, None, 10)
    assert (event.is_dead_letter, event.attempts, event.reason) == (True, len(attempts), "HTTP 422: strange")
    # The platform is fixed.
    platform.rejects = lambda _: None
    submit(shop, RetryEvents((event.outbox_id,)))
    platform.wait_until(lambda there: there.sent[-1] == "order-2-paid")
    assert until(shop, lambda state: state.dead_letters + state.retrying == 0).waiting == 0
    assert len(platform.sent) == len(set(platform.sent)) == 5
    assert_audit_passes(shop)


def test_later_events_of_an_order_wait_for_its_rejected_event(platform: Platform, shop: ServedShop) -> None:
    rejected_calls = 2
    platform.rejects = lambda event: "no" if event["subject"] == "1" and platform.calls <= rejected_calls else None
    place_orders(shop, 3, cancelled=(1, 3))
    platform.wait_until(lambda there: len(there.sent) == 5)
    until(shop, lambda state: state.retrying == 0)
    assert platform.sent.index("order-1-paid") < platform.sent.index("order-1-cancelled")
    assert platform.sent.index("order-3-paid") < platform.sent.index("order-3-cancelled")


def test_a_dead_letter_does_not_block_the_next_event_of_its_order(platform: Platform, shop: ServedShop) -> None:
    platform.rejects = lambda event: "no" if (event["subject"], event["type"][-4:]) == ("1", "paid") else None
    place_orders(shop, 2, cancelled=(1,))
    platform.wait_until(lambda there: len(there.sent) == 2)
    assert set(platform.sent) == {"order-1-cancelled", "order-2-paid"}
    until(shop, lambda state: (state.dead_letters, state.retrying) == (1, 0))


def test_retries_continue_after_a_restart(
    platform: Platform, open_shop: Callable[..., ServedShop], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry_schedule, "RETRY_DELAYS_S", (0.0, 3600.0))
    first = open_shop()
    platform.rejects = rejecting(1)
    place_orders(first, 1)
    until(first, lambda state: state.retrying == 1)
    platform.wait_until(lambda there: there.calls == 2)
    first.close()
    second = open_shop()
    second.http.post("/orders/1/cancel")
    place_orders(second, 1)
    platform.wait_until(lambda there: there.sent == ["order-2-paid"])
    # The cancellation is blocked too, by a relay that has not seen the rejection.
    until(second, lambda state: (state.waiting, state.retrying) == (0, 2))
    assert platform.sent == ["order-2-paid"]


def test_retry_after_is_respected(platform: Platform, shop: ServedShop) -> None:
    platform.fails = PlatformUnavailable("HTTP 429", retry_after_s=3600)
    place_orders(shop, 1)
    platform.wait_until(lambda there: there.calls == 1)
    place_orders(shop, 3)
    found = until(shop, lambda state: state.platform is not None and state.platform.failing_since is not None)
    assert found.platform is not None
    assert found.platform.last_error == "HTTP 429"
    assert found.waiting == 4
    assert platform.calls == 1


def test_recovery_is_reported_and_the_last_error_kept(platform: Platform, shop: ServedShop) -> None:
    platform.fails = PlatformUnavailable("no connection")
    place_orders(shop, 2)
    until(shop, lambda state: state.platform is not None and state.platform.failing_since is not None)
    platform.fails = None
    platform.wait_until(lambda there: len(there.sent) == 2)
    found = until(shop, lambda state: state.platform is not None and state.platform.failing_since is None)
    assert found.platform is not None
    assert found.platform.last_error == "no connection"


def test_a_gone_platform_is_sent_nothing_until_an_operator_resumes_it(
    platform: Platform, open_shop: Callable[..., ServedShop]
) -> None:
    shop = open_shop()
    platform.fails = PlatformGone("HTTP 410")
    place_orders(shop, 2)
    until(shop, lambda state: state.platform is not None and state.platform.stopped_at is not None)
    shop.close()
    calls, platform.fails = platform.calls, None
    # The stop outlives the server.
    shop = open_shop()
    place_orders(shop, 1)
    assert until(shop, lambda state: state.waiting == 3).platform is not None
    assert (platform.calls, platform.sent) == (calls, [])
    submit(shop, ResumePlatform())
    platform.wait_until(lambda there: len(there.sent) == 3)


def test_a_defect_delays_events_but_does_not_end_the_relay(platform: Platform, shop: ServedShop) -> None:
    platform.fails = KeyError("a defect")
    place_orders(shop, 1)
    platform.wait_until(lambda there: there.calls >= 3)
    platform.fails = None
    platform.wait_until(lambda there: there.sent == ["order-1-paid"])


def test_a_replay_sends_every_event_of_the_span_again_and_new_ones_after(
    platform: Platform, shop: ServedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "_EVENTS_PER_STEP", 2)
    place_orders(shop, 6, cancelled=(2,))
    platform.wait_until(lambda there: len(there.sent) == 7)
    until(shop, lambda state: state.waiting == 0)
    before = list(platform.sent)
    now = datetime.now(UTC)
    submit(shop, StartReplay(now - timedelta(hours=1), now))
    platform.wait_until(lambda there: len(there.sent) == 14)
    assert sorted(platform.sent[7:]) == sorted(before)
    replayed = platform.sent[7:]
    assert replayed.index("order-2-paid") < replayed.index("order-2-cancelled")
    place_orders(shop, 1)
    platform.wait_until(lambda there: len(there.sent) == 15)
    assert_audit_passes(shop)


def test_events_are_purged_after_their_retention(
    platform: Platform, open_shop: Callable[..., ServedShop], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "PURGE_INTERVAL_S", 0.02)
    shop = open_shop(keep_events_days=0.000_001)
    platform.rejects = rejecting(3)
    place_orders(shop, 6, cancelled=(2,))
    # The newest event stays, and so does the rejected one; it is alone in its event batch.
    until(shop, lambda state: (state.purged, state.waiting, state.dead_letters) == (5, 0, 1))
    assert_audit_passes(shop)
    platform.fails = PlatformUnavailable("gone for a while")
    place_orders(shop, 2)
    assert until(shop, lambda state: state.purged == 6).waiting == 2
    platform.fails = None
    platform.wait_until(lambda there: len(there.sent) == 8)
    until(shop, lambda state: state.purged == 7)
    assert_audit_passes(shop)
    assert len(set(platform.sent)) == 8


def test_orders_do_not_wait_for_a_platform_that_hangs(platform: Platform, shop: ServedShop) -> None:
    # It never answers: orders go on, and the shop closes in time.
    async def hang(events: Sequence[bytes]) -> Mapping[int, str]:
        platform.calls += 1
        await asyncio.Event().wait()
        return {}

    platform.send = hang  # type: ignore[method-assign]  # only in this test
    place_orders(shop, 3)
    assert state(shop).waiting == 3
    started_at = monotonic()
    shop.close()
    assert monotonic() - started_at < 10
