"""A full queue refuses commands at once with 503 and `Retry-After`; queued commands are still committed.

The relay is off, since it submits commands of its own: here every command comes from a client.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from jangteo.api.routes import ROUTES
from jangteo.app import Clock
from jangteo.engine.batch import BatchResult, Submission, commit
from jangteo.engine.writer import loop
from jangteo.storage.port import Connection
from tests.serving import Http, ServedShop


def charge(shop: ServedShop) -> httpx.Response:
    with Http(base_url=shop.address, timeout=60) as http:
        return http.post("/users/1/balance", json={"amount": 1})


def test_a_full_queue_answers_503_with_retry_after(open_shop: Callable[..., ServedShop]) -> None:
    shop = open_shop(queue_max=1, relay=False)
    shop.http.user()
    shop.clock.block_commits()
    with ThreadPoolExecutor(1) as clients:
        taken_in = clients.submit(charge, shop)
        assert shop.clock.commit_blocked.wait(30)
        for refused in (charge(shop), shop.http.get("/health/ready")):
            assert refused.status_code == 503
            assert refused.json()["type"] == "/problems/overloaded"
            assert refused.headers["retry-after"] == "1"
        assert shop.http.get("/users/1/balance").json() == {"balance": 0}, "reads don't queue behind commands"
        shop.clock.commits_allowed.set()
        assert taken_in.result().json() == {"userId": 1, "balance": 1}
    assert charge(shop).json() == {"userId": 1, "balance": 2}


def test_commands_that_arrive_during_a_commit_are_one_batch(
    open_shop: Callable[..., ServedShop], monkeypatch: pytest.MonkeyPatch
) -> None:
    committed: list[int] = []

    def counted(connection: Connection, submissions: Sequence[Submission], clock: Clock) -> BatchResult:
        committed.append(len(submissions))
        return commit(connection, submissions, clock)

    shop = open_shop(relay=False)
    shop.http.user()
    monkeypatch.setattr(loop, "commit", counted)
    shop.clock.block_commits()
    with ThreadPoolExecutor(11) as clients:
        first = clients.submit(charge, shop)
        assert shop.clock.commit_blocked.wait(30)
        others = [clients.submit(charge, shop) for _ in range(10)]
        while shop.shop.commands._writer.unanswered < 11:
            shop.http.get("/health/live")
        shop.clock.commits_allowed.set()
        balances = sorted(each.result().json()["balance"] for each in (first, *others))
    assert balances == list(range(1, 12))
    assert committed == [1, 10]


def test_readiness_times_out_while_a_commit_hangs(
    open_shop: Callable[..., ServedShop], monkeypatch: pytest.MonkeyPatch
) -> None:
    (ready,) = [route for route in ROUTES if route.path == "/health/ready"]
    monkeypatch.setitem(vars(ready), "timeout_s", 0.2)
    shop = open_shop(relay=False)
    shop.clock.block_commits()
    with ThreadPoolExecutor(1) as clients:
        asked = clients.submit(shop.http.get, "/health/ready")
        assert shop.clock.commit_blocked.wait(30)
        answer = asked.result()
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    shop.clock.commits_allowed.set()
    assert shop.http.get("/health/ready").status_code == 200
