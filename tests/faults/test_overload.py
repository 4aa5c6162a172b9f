"""A full queue refuses commands at once with 503 and `Retry-After`; queued commands are still committed.

The relay is off, since it submits commands of its own: here every command comes from a client.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from jangteo.api.routes import ROUTES
from jangteo.engine.writer.thread import WriterThread
from tests.serving import Http, ServedShop


def charge(shop: ServedShop) -> httpx.Response:
    with Http(base_url=shop.address, timeout=60) as http:
        return http.post("/users/1/balance", json={"amount": 1})


def test_a_full_queue_answers_503_with_retry_after(open_shop: Callable[..., ServedShop]) -> None:
    shop = open_shop(queue_max=1, relay=False)
    shop.http.user()
    shop.clock.hold_up_commits()
    with ThreadPoolExecutor(1) as clients:
        queued = clients.submit(charge, shop)
        assert shop.clock.asked_to_commit.wait(30)
        for refused in (charge(shop), shop.http.get("/health/ready")):
            assert refused.status_code == 503
            assert refused.json()["type"] == "/problems/overloaded"
            assert refused.headers["retry-after"] == "1"
        assert shop.http.get("/users/1/balance").json() == {"balance": 0}, "reads don't queue behind commands"
        shop.clock.commits_go_on.set()
        assert queued.result().json() == {"userId": 1, "balance": 1}
    assert charge(shop).json() == {"userId": 1, "balance": 2}


def test_commands_that_arrive_during_a_commit_are_one_batch(open_shop: Callable[..., ServedShop]) -> None:
    shop = open_shop(relay=False)
    shop.http.user()
    committed: list[int] = []
    writer = shop.shop.commands._writer
    assert isinstance(writer, WriterThread)
    pool = writer._lane
    answer = pool._answer

    def count_batch(waiting: list[Any], results: Sequence[Any]) -> None:
        committed.append(len(waiting))
        answer(waiting, results)

    pool._answer = count_batch  # type: ignore[method-assign]  # to record batch sizes
    shop.clock.hold_up_commits()
    with ThreadPoolExecutor(11) as clients:
        first = clients.submit(charge, shop)
        assert shop.clock.asked_to_commit.wait(30)
        others = [clients.submit(charge, shop) for _ in range(10)]
        while pool.unanswered < 11:
            shop.http.get("/health/live")
        shop.clock.commits_go_on.set()
        balances = sorted(each.result().json()["balance"] for each in (first, *others))
    assert balances == list(range(1, 12))
    assert committed == [1, 10]


def test_readiness_times_out_while_a_commit_hangs(
    open_shop: Callable[..., ServedShop], monkeypatch: pytest.MonkeyPatch
) -> None:
    (ready,) = [route for route in ROUTES if route.path == "/health/ready"]
    monkeypatch.setitem(vars(ready), "within_s", 0.2)
    shop = open_shop(relay=False)
    shop.clock.hold_up_commits()
    with ThreadPoolExecutor(1) as clients:
        readiness = clients.submit(shop.http.get, "/health/ready")
        assert shop.clock.asked_to_commit.wait(30)
        answer = readiness.result()
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    shop.clock.commits_go_on.set()
    assert shop.http.get("/health/ready").status_code == 200
