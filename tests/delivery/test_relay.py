"""Every event of an order reaches the platform: soon, in order, whatever happens to the platform."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from jangteo.core.relay import MarkSent
from jangteo.delivery import backoff, relay
from jangteo.delivery.backoff import Backoff
from jangteo.delivery.sinks.json_lines import JsonLines
from jangteo.engine.caller import OPEN, Caller
from jangteo.engine.worker_pool import Overloaded
from jangteo.storage import outbox
from jangteo.storage.port import Query
from tests.faults.customers import local_id
from tests.serving import ServedShop


class Watched(JsonLines):
    """A file that records when it was written, and fails as often as the test says."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.failures = 0
        self.failed = Event()
        self.received: list[tuple[float, dict[str, Any]]] = []
        self.enough = Event()
        self.wanted = 1

    def append(self, events: Sequence[bytes]) -> None:
        if self.failures:
            self.failures -= 1
            if not self.failures:
                self.failed.set()
            raise OSError(28, "injected: no space left")
        super().append(events)
        self.received += [(time.monotonic(), json.loads(event)) for event in events]
        if len(self.received) >= self.wanted:
            self.enough.set()

    def wait_for(self, wanted: int) -> list[dict[str, Any]]:
        self.wanted = wanted
        if len(self.received) < wanted:
            self.enough.clear()
            assert len(self.received) >= wanted or self.enough.wait(30), "the events did not arrive"
        return [event for _, event in self.received]

    @property
    def facts(self) -> list[str]:
        return facts(event for _, event in self.received)


def facts(events: Iterable[dict[str, Any]]) -> list[str]:
    return [local_id(event["id"]) for event in events]


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> list[Watched]:
    """The sinks of the shops that are opened, in order."""
    opened: list[Watched] = []

    def open_watched(url: str, *_: object) -> Watched:
        opened.append(Watched(Path(url.removeprefix("file:"))))
        return opened[-1]

    monkeypatch.setattr("jangteo.app.open_sink", open_watched)
    return opened


def test_an_order_is_sent_whole_within_a_tenth_of_a_second(watched: list[Watched], shop: ServedShop) -> None:
    http = shop.http
    user, product = http.user(balance=100_000), http.product(stock=100)
    delays: list[float] = []
    for number in range(1, 21):
        order = http.order(user, (product, 1)).json()
        answered_at = time.monotonic()
        event = watched[0].wait_for(number)[-1]
        delays.append(watched[0].received[-1][0] - answered_at)
        assert event == {
            "specversion": "1.0",
            "id": f"{event['source'].removeprefix('/jangteo/')}-order-{number}-paid",
            "source": event["source"],
            "type": "jangteo.order.paid",
            "subject": str(number),
            "time": order["createdAt"],
            "datacontenttype": "application/json",
            "data": order,
        }
    # The median of twenty: the machine itself may delay a single one.
    assert sorted(delays)[10] < 0.1


def test_events_of_an_order_arrive_in_order(watched: list[Watched], shop: ServedShop) -> None:
    http = shop.http
    user, product = http.user(balance=9_000), http.product()
    for number in range(1, 4):
        http.order(user, (product, 1))
        http.post(f"/orders/{number}/cancel")
    events = watched[0].wait_for(6)
    for number in (1, 2, 3):
        paid, cancelled = (event for event in events if event["subject"] == str(number))
        assert facts([paid, cancelled]) == [f"order-{number}-paid", f"order-{number}-cancelled"]
        assert cancelled["data"] == http.get(f"/orders/{number}").json()


def test_refused_and_repeated_requests_send_no_event(watched: list[Watched], shop: ServedShop) -> None:
    http = shop.http
    user, product = http.user(balance=2_000), http.product()
    for _ in range(3):
        first = http.order(user, (product, 1), key="once").json()["orderId"]
        http.order(user, (product, 99))
    last = http.order(user, (product, 1)).json()["orderId"]
    assert facts(watched[0].wait_for(2)) == [f"order-{first}-paid", f"order-{last}-paid"]


def test_a_failing_platform_delays_events_but_no_order(
    watched: list[Watched], shop: ServedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backoff, "FIRST_DELAY_S", 0.001)
    http = shop.http
    watched[0].failures = 4
    user, product = http.user(balance=9_000), http.product()
    assert [http.order(user, (product, 1)).status_code for _ in range(5)] == [201] * 5
    assert watched[0].failed.wait(30)
    assert facts(watched[0].wait_for(5)) == [f"order-{number}-paid" for number in range(1, 6)]


def test_the_relay_continues_after_a_restart(
    watched: list[Watched], open_shop: Callable[..., ServedShop], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = open_shop()
    user, product = before.http.user(balance=9_000), before.http.product()
    before.http.order(user, (product, 1))
    watched[0].wait_for(1)
    # The platform fails; orders are accepted, and the shop is closed before the platform is back.
    watched[0].failures = 1_000_000
    for _ in range(3):
        assert before.http.order(user, (product, 1)).status_code == 201
    monkeypatch.setattr(relay, "SHUTDOWN_TIMEOUT_S", 0.01)
    before.close()
    after = open_shop()
    assert facts(watched[1].wait_for(3)) == [f"order-{number}-paid" for number in (2, 3, 4)]
    after.close()
    assert facts(json.loads(line) for line in after.events_file.read_text().splitlines()) == [
        f"order-{number}-paid" for number in (1, 2, 3, 4)
    ]


def test_a_closing_shop_sends_what_is_left(watched: list[Watched], shop: ServedShop) -> None:
    user, product = shop.http.user(balance=9_000), shop.http.product()
    for _ in range(9):
        shop.http.order(user, (product, 1))
    shop.close()
    assert watched[0].facts == [f"order-{number}-paid" for number in range(1, 10)]


def test_a_closing_shop_whose_queues_are_full_sends_what_is_left(
    watched: list[Watched], shop: ServedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    user, product = shop.http.user(balance=9_000), shop.http.product()
    shop.http.order(user, (product, 1))
    watched[0].wait_for(1)
    run, refused = shop.shop.reads.run, iter(range(5))

    async def often_full(query: Query[Any]) -> Any:
        if query.read is outbox.read_waiting and next(refused, None) is not None:
            raise Overloaded
        return await run(query)

    monkeypatch.setattr(shop.shop.reads, "run", often_full)
    # Before it closes, the relay asks once: the other refusals come while it does.
    monkeypatch.setattr(Backoff, "next_delay_s", lambda *_: 60.0)
    for _ in range(3):
        shop.http.order(user, (product, 1))
    shop.close()
    assert watched[0].facts == [f"order-{number}-paid" for number in range(1, 5)]
    assert next(refused, None) is None


def test_a_full_command_queue_sends_no_event_twice(
    watched: list[Watched], open_shop: Callable[..., ServedShop]
) -> None:
    shop = open_shop(queue_max=2)
    user, product = shop.http.user(balance=99_000), shop.http.product(stock=99)
    shop.http.order(user, (product, 1))
    watched[0].wait_for(1)
    submit, full = shop.shop.commands.submit, 5

    def often_full(command: Any, key: str | None = None, caller: Caller = OPEN) -> Any:
        nonlocal full
        if isinstance(command, MarkSent) and full:
            full -= 1
            raise Overloaded
        return submit(command, key, caller)

    shop.shop.commands.submit = often_full  # type: ignore[method-assign]  # makes the queue full for MarkSent only
    for _ in range(9):
        shop.http.order(user, (product, 1))
    shop.close()
    assert watched[0].facts == [f"order-{number}-paid" for number in range(1, 11)]
    assert full < 5
