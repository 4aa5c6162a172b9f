"""Concurrent clients against real servers: exactly as many requests succeed as stock, coupons or money allow."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.serving import Http, ServerProcess, audit, serve_in_process

BUYERS = 200
LIMITS = httpx.Limits(max_connections=BUYERS, max_keepalive_connections=BUYERS, keepalive_expiry=60)


Servers = list[ServerProcess]


@pytest.fixture
def servers(database: str, tmp_path: Path) -> Iterator[Servers]:
    """One server on SQLite; three on PostgreSQL, of which one has two workers and one has two writers."""
    platform = ("--platform", f"file:{tmp_path / 'events.jsonl'}")
    options_of_each = ((), ("--workers", "2"), ("--writers", "2")) if database.startswith("postgres") else ((),)
    started = [serve_in_process(database, *platform, *options) for options in options_of_each]
    yield started
    assert [server.interrupt()[0] for server in started] == [0] * len(started)
    audited = audit(database)
    assert audited.returncode == 0, audited.stdout


@pytest.fixture
def http(servers: Servers) -> Iterator[Http]:
    with Http(base_url=servers[0].address, timeout=60) as client:
        yield client


def all_at_once(servers: Servers, requests: list[tuple[str, Any, dict[str, str]]]) -> list[httpx.Response]:
    """Send each request on its own connection, all opened before the first is sent, spread over the servers."""
    addresses = [servers[number % len(servers)].address for number in range(len(requests))]

    async def race() -> list[httpx.Response]:
        async with httpx.AsyncClient(timeout=60, limits=LIMITS) as client:
            await asyncio.gather(*(client.get(f"{address}/health/live") for address in addresses))
            return await asyncio.gather(
                *(
                    client.post(address + path, json=body, headers=headers)
                    for address, (path, body, headers) in zip(addresses, requests, strict=True)
                )
            )

    return asyncio.run(race())


def outcomes(answers: list[httpx.Response]) -> Counter[tuple[int, str]]:
    return Counter((answer.status_code, answer.json().get("type", "")) for answer in answers)


def test_200_buyers_of_50_units_place_50_orders(servers: Servers, http: Http) -> None:
    product = http.product(price=1_000, stock=50)
    users = [http.user(balance=1_000) for _ in range(BUYERS)]
    items = [{"productId": product, "quantity": 1}]
    answers = all_at_once(servers, [("/orders", {"userId": user, "items": items}, {}) for user in users])
    assert outcomes(answers) == {(201, ""): 50, (400, "/problems/out-of-stock"): 150}
    assert http.get(f"/products/{product}").json()["stock"] == 0
    winners = {answer.json()["userId"] for answer in answers if answer.status_code == 201}
    balances = {user: http.get(f"/users/{user}/balance").json()["balance"] for user in users}
    assert balances == {user: 0 if user in winners else 1_000 for user in users}


def test_200_claims_of_50_coupons_issue_50(servers: Servers, http: Http) -> None:
    campaign = http.campaign(quantity=50)
    users = [http.user() for _ in range(BUYERS)]
    answers = all_at_once(servers, [("/coupons", {"userId": user, "campaignId": campaign}, {}) for user in users])
    assert outcomes(answers) == {(201, ""): 50, (409, "/problems/coupons-sold-out"): 150}
    status = http.get(f"/campaigns/{campaign}").json()
    assert (status["issued"], status["remaining"]) == (50, 0)
    held = sum(len(http.get(f"/users/{user}/coupons").json()) for user in users)
    assert held == 50


def test_a_user_who_claims_on_50_connections_gets_one_coupon(servers: Servers, http: Http) -> None:
    campaign, user = http.campaign(quantity=50), http.user()
    answers = all_at_once(servers, [("/coupons", {"userId": user, "campaignId": campaign}, {})] * 50)
    assert outcomes(answers) == {(201, ""): 1, (409, "/problems/coupon-already-claimed"): 49}


def test_a_balance_spent_on_50_connections_never_goes_negative(servers: Servers, http: Http) -> None:
    user, product = http.user(balance=20_500), http.product(price=1_000, stock=1_000)
    items = [{"productId": product, "quantity": 1}]
    answers = all_at_once(servers, [("/orders", {"userId": user, "items": items}, {})] * 50)
    assert outcomes(answers) == {(201, ""): 20, (400, "/problems/insufficient-balance"): 30}
    assert http.get(f"/users/{user}/balance").json() == {"balance": 500}
    assert http.get(f"/products/{product}").json()["stock"] == 980


def test_a_coupon_used_on_50_connections_discounts_one_order(servers: Servers, http: Http) -> None:
    user, product = http.user(balance=1_000_000), http.product(price=1_000, stock=1_000)
    coupon = http.coupon(user, http.campaign(discount=300))
    body = {"userId": user, "items": [{"productId": product, "quantity": 1}], "couponId": coupon}
    answers = all_at_once(servers, [("/orders", body, {})] * 50)
    assert outcomes(answers) == {(201, ""): 1, (400, "/problems/invalid-coupon"): 49}


def test_an_order_cancelled_on_50_connections_is_refunded_once(servers: Servers, http: Http) -> None:
    user, product = http.user(balance=1_000), http.product(price=1_000, stock=1)
    order = http.order(user, (product, 1)).json()["orderId"]
    answers = all_at_once(servers, [(f"/orders/{order}/cancel", None, {})] * 50)
    assert outcomes(answers) == {(200, ""): 1, (409, "/problems/order-already-cancelled"): 49}
    assert http.get(f"/users/{user}/balance").json() == {"balance": 1_000}


def test_an_idempotency_key_on_50_connections_places_one_order(servers: Servers, http: Http) -> None:
    user, product = http.user(balance=9_000), http.product(price=1_000, stock=9)
    body = {"userId": user, "items": [{"productId": product, "quantity": 1}]}
    answers = all_at_once(servers, [("/orders", body, {"idempotency-key": "once"})] * 50)
    assert {answer.content for answer in answers} == {answers[0].content}
    assert sum("idempotency-replayed" in answer.headers for answer in answers) == 49
    assert http.get(f"/products/{product}").json()["stock"] == 8


def test_a_read_that_starts_after_an_answer_sees_its_write(servers: Servers, http: Http) -> None:
    user = http.user(balance=100_000)
    products = [http.product(price=1, stock=1_000) for _ in range(4)]

    async def shopper(client: httpx.AsyncClient, product: int) -> None:
        for sold in range(1, 26):
            # One server takes the order, the next one is read.
            writing, reading = servers[sold % len(servers)].address, servers[(sold + 1) % len(servers)].address
            body = {"userId": user, "items": [{"productId": product, "quantity": 1}]}
            assert (await client.post(f"{writing}/orders", json=body)).status_code == 201
            assert (await client.get(f"{reading}/products/{product}")).json()["stock"] == 1_000 - sold

    async def race() -> None:
        async with httpx.AsyncClient(timeout=60) as client:
            await asyncio.gather(*(shopper(client, product) for product in products))

    asyncio.run(race())
