"""Every call of the contract over HTTP: its answers, and every refusal with its facts."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from jangteo.core.limits import LARGEST
from tests.serving import Http, ServedShop


@pytest.fixture
def http(shop: ServedShop) -> Http:
    return shop.http


def check_problem(answer: httpx.Response, status: int, slug: str, **facts: Any) -> None:
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert (answer.status_code, body["status"], body["type"]) == (status, status, f"/problems/{slug}"), body
    assert body["title"]
    assert body["detail"]
    assert {name: body[name] for name in facts} == facts


def test_users_and_balances(http: Http) -> None:
    assert http.post("/users", json={"name": "Kim"}).json() == {"userId": 1, "balance": 0}
    assert http.post("/users").json() == {"userId": 2, "balance": 0}
    charged = http.post("/users/1/balance", json={"amount": 1_500})
    assert (charged.status_code, charged.json()) == (201, {"userId": 1, "balance": 1_500})
    assert http.post("/users/1/balance", json={"amount": 1_000}).json() == {"userId": 1, "balance": 2_500}
    read = http.get("/users/1/balance")
    assert (read.status_code, read.json()) == (200, {"balance": 2_500})
    check_problem(http.get("/users/9/balance"), 404, "user-not-found", userId=9)
    check_problem(http.post("/users/9/balance", json={"amount": 1}), 404, "user-not-found", userId=9)
    too_much = http.post("/users/1/balance", json={"amount": LARGEST})
    check_problem(too_much, 400, "invalid-amount", balance=2_500)


@pytest.mark.parametrize("amount", [1.5, 1.0, 1e3, "1", None, True, [1], LARGEST + 1, -LARGEST - 1, 2**64, 10**40])
def test_an_amount_that_is_not_an_integer_is_refused_by_name(http: Http, amount: Any) -> None:
    http.user()
    check_problem(http.post("/users/1/balance", json={"amount": amount}), 400, "invalid-amount", field="amount")
    assert http.get("/users/1/balance").json() == {"balance": 0}


@pytest.mark.parametrize("amount", [0, -1, -LARGEST])
def test_an_amount_below_one_is_refused(http: Http, amount: int) -> None:
    http.user()
    check_problem(http.post("/users/1/balance", json={"amount": amount}), 400, "invalid-amount", balance=0)
    check_problem(http.post("/users/9/balance", json={"amount": amount}), 404, "user-not-found")
    assert http.get("/users/1/balance").json() == {"balance": 0}


def test_products_and_stock(http: Http) -> None:
    added = http.post("/products", json={"name": "배추김치 5 kg", "price": 36_500, "stock": 3})
    product = {"id": 1, "name": "배추김치 5 kg", "price": 36_500, "stock": 3}
    assert (added.status_code, added.json()) == (201, product)
    assert http.get("/products/1").json() == product
    assert http.get("/products").json() == [product]
    changed = http.patch("/products/1", json={"price": 30_000})
    assert (changed.status_code, changed.json()) == (200, product | {"price": 30_000})
    assert http.patch("/products/1", json={"name": "kimchi"}).json()["name"] == "kimchi"
    moved = http.post("/products/1/stock", json={"quantity": -3})
    assert (moved.status_code, moved.json()["stock"]) == (201, 0)
    check_problem(http.post("/products/1/stock", json={"quantity": -1}), 400, "out-of-stock", productId=1, available=0)
    check_problem(http.post("/products/1/stock", json={"quantity": 0}), 400, "invalid-request", field="quantity")
    http.post("/products/1/stock", json={"quantity": 1})
    check_problem(http.post("/products/1/stock", json={"quantity": LARGEST}), 409, "limit-exceeded", limitOf="stock")
    for answer in (
        http.get("/products/9"),
        http.patch("/products/9", json={}),
        http.post("/products/9/stock", json={"quantity": 1}),
    ):
        check_problem(answer, 404, "product-not-found", productId=9)


def test_campaigns_and_coupons(http: Http) -> None:
    user, other = http.user(), http.user()
    started = http.post("/campaigns", json={"name": "Opening", "discount": 1_000, "quantity": 1, "couponValidDays": 30})
    assert started.status_code == 201
    campaign = started.json()
    assert campaign.pop("createdAt") == campaign.pop("opensAt")
    assert campaign == {
        "campaignId": 1,
        "name": "Opening",
        "discount": 1_000,
        "percent": None,
        "maxDiscount": None,
        "minAmount": 0,
        "quantity": 1,
        "issued": 0,
        "remaining": 1,
        "closesAt": None,
        "couponValidDays": 30,
    }
    claimed = http.post("/coupons", json={"userId": user, "campaignId": 1})
    assert claimed.status_code == 201
    coupon = claimed.json()
    claimed_at = datetime.fromisoformat(coupon["claimedAt"])
    assert datetime.fromisoformat(coupon["expiresAt"]) - claimed_at == timedelta(days=30)
    assert (coupon["couponId"], coupon["discount"], coupon["status"]) == (1, 1_000, "usable")
    assert http.get(f"/users/{user}/coupons").json() == [coupon]
    assert http.get("/campaigns/1").json()["remaining"] == 0
    assert [each["issued"] for each in http.get("/campaigns").json()] == [1]

    again = http.post("/coupons", json={"userId": user, "campaignId": 1})
    check_problem(again, 409, "coupon-already-claimed", campaignId=1, couponId=1)
    sold_out = http.post("/coupons", json={"userId": other, "campaignId": 1})
    check_problem(sold_out, 409, "coupons-sold-out", campaignId=1, title="Coupons sold out")
    check_problem(http.post("/coupons", json={"userId": other}), 409, "coupons-sold-out", title="Coupons sold out")
    later = http.campaign(discount=1, opensAt="2999-01-01T00:00:00+09:00")
    not_open = http.post("/coupons", json={"userId": other, "campaignId": later})
    check_problem(not_open, 409, "campaign-not-open", campaignId=later, opensAt="2998-12-31T15:00:00Z")
    check_problem(http.post("/coupons", json={"userId": 9}), 404, "user-not-found")
    check_problem(
        http.post("/coupons", json={"userId": other, "campaignId": 9}), 404, "campaign-not-found", campaignId=9
    )
    check_problem(http.get("/campaigns/9"), 404, "campaign-not-found")
    check_problem(http.get("/users/9/coupons"), 404, "user-not-found")


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        ({}, "discount"),
        ({"discount": 1, "percent": 1}, "discount"),
        ({"discount": 1, "maxDiscount": 1}, "maxDiscount"),
        ({"percent": 101}, "percent"),
        ({"discount": 0}, "discount"),
        ({"discount": 1, "opensAt": "2026-01-01T00:00:00"}, "opensAt"),
        ({"discount": 1, "opensAt": "yesterday"}, "opensAt"),
        ({"discount": 1, "opensAt": "0001-01-01T00:00:00+23:00"}, "opensAt"),
        ({"discount": 1, "opensAt": "2026-01-01T00:00:00Z", "closesAt": "2026-01-01T09:00:00+09:00"}, "closesAt"),
        ({"discount": 1, "couponValidDays": 0}, "couponValidDays"),
        ({"discount": 1, "quantity": 0}, "quantity"),
        ({"discount": 1, "name": "a\x00b"}, "name"),
        ({"discount": 1, "name": ""}, "name"),
        ({"discount": 1, "name": "abc\n"}, "name"),
    ],
)
def test_the_wrong_term_of_a_campaign_is_named(http: Http, terms: dict[str, Any], field: str) -> None:
    answer = http.post("/campaigns", json={"name": "x", "quantity": 1} | terms)
    check_problem(answer, 400, "invalid-request", field=field)


def test_an_order_is_paid_and_cancelled(http: Http) -> None:
    user, product = http.user(balance=10_000), http.product(price=2_000, stock=5)
    coupon = http.coupon(user, http.campaign(percent=10, maxDiscount=300))
    placed = http.order(user, (product, 1), (product, 1), coupon=coupon)
    assert placed.status_code == 201
    order = placed.json()
    created_at = order.pop("createdAt")
    assert created_at.endswith("Z")
    assert order == {
        "orderId": 1,
        "userId": user,
        "status": "paid",
        "items": [{"productId": product, "quantity": 2, "unitPrice": 2_000, "amount": 4_000}],
        "amount": 4_000,
        "discount": 300,
        "total": 3_700,
        "couponId": coupon,
        "actor": "open",
    }
    order["createdAt"] = created_at
    assert http.get("/orders/1").json() == order
    assert http.get(f"/users/{user}/orders").json() == [order]
    assert http.get(f"/users/{user}/balance").json() == {"balance": 6_300}
    assert http.get(f"/products/{product}").json()["stock"] == 3
    held = http.get(f"/users/{user}/coupons").json()[0]
    assert (held["status"], held["discount"], held["orderId"]) == ("used", 300, 1)
    check_problem(http.order(user, (product, 1), coupon=coupon), 400, "invalid-coupon", couponId=coupon, reason="used")

    cancelled = http.post("/orders/1/cancel")
    assert cancelled.status_code == 200
    body = cancelled.json()
    cancelled_at = body.pop("cancelledAt")
    assert body == order | {"status": "cancelled", "cancelledBy": "open"}
    assert http.get("/orders/1").json() == body | {"cancelledAt": cancelled_at}
    assert http.get(f"/users/{user}/balance").json() == {"balance": 10_000}
    assert http.get(f"/products/{product}").json()["stock"] == 5
    held = http.get(f"/users/{user}/coupons").json()[0]
    assert (held["status"], held["discount"], held["orderId"]) == ("usable", None, None)
    check_problem(http.post("/orders/1/cancel"), 409, "order-already-cancelled", orderId=1, cancelledAt=cancelled_at)
    check_problem(http.post("/orders/9/cancel"), 404, "order-not-found", orderId=9)
    check_problem(http.get("/orders/9"), 404, "order-not-found", orderId=9)
    check_problem(http.get("/users/9/orders"), 404, "user-not-found", userId=9)

    entries = http.get(f"/users/{user}/ledger").json()
    assert [(each["kind"], each["amount"], each["balanceAfter"], each["orderId"]) for each in entries] == [
        ("refund", 3_700, 10_000, 1),
        ("payment", -3_700, 6_300, 1),
        ("charge", 10_000, 10_000, None),
    ]
    check_problem(http.get("/users/9/ledger"), 404, "user-not-found", userId=9)


def test_an_order_is_checked_in_the_order_of_the_contract(http: Http) -> None:
    user, product = http.user(balance=3_000), http.product(price=1_000, stock=2)
    small = http.coupon(user, http.campaign(discount=100, minAmount=1_001))
    # Each order breaks its own rule and all the rules below it.
    malformed = http.post("/orders", json={"userId": 9, "items": [{"productId": 9, "quantity": 0}], "couponId": 9})
    check_problem(malformed, 400, "invalid-request", field="items[0].quantity")
    check_problem(http.order(9, (9, 99), coupon=9), 404, "user-not-found", userId=9)
    check_problem(http.order(user, (product, 99), (9, 1), coupon=9), 404, "product-not-found", productId=9)
    check_problem(
        http.order(user, (product, 99), coupon=9), 400, "insufficient-balance", balance=3_000, required=99_000
    )
    check_problem(
        http.order(user, (product, 3), coupon=9), 400, "out-of-stock", productId=product, available=2, requested=3
    )
    check_problem(http.order(user, (product, 1), coupon=9), 400, "invalid-coupon", couponId=9, reason="unknown")
    facts = {"couponId": small, "reason": "below-minimum", "amount": 1_000, "minAmount": 1_001}
    check_problem(http.order(user, (product, 1), coupon=small), 400, "invalid-coupon", **facts)
    assert http.get(f"/users/{user}/orders").json() == []
    assert http.get(f"/users/{user}/balance").json() == {"balance": 3_000}
    assert http.get(f"/products/{product}").json()["stock"] == 2
    assert len(http.get(f"/users/{user}/ledger").json()) == 1


def test_coupons_expire_and_campaigns_close(shop: ServedShop) -> None:
    http = shop.http
    user, other, product = http.user(balance=9_000), http.user(), http.product()
    closes_at = (shop.clock() + timedelta(hours=1)).isoformat()
    campaign = http.campaign(discount=100, couponValidDays=1, closesAt=closes_at)
    coupon = http.coupon(user, campaign)
    shop.clock.ahead = timedelta(days=1, seconds=1)
    check_problem(http.order(user, (product, 1), coupon=coupon), 400, "invalid-coupon", reason="expired")
    assert http.get(f"/users/{user}/coupons").json()[0]["status"] == "expired"
    check_problem(http.post("/coupons", json={"userId": other, "campaignId": campaign}), 409, "campaign-not-open")


def test_an_order_pays_the_price_at_its_time(http: Http) -> None:
    user, product = http.user(balance=9_000), http.product(price=1_000)
    http.order(user, (product, 1))
    http.patch(f"/products/{product}", json={"price": 3_000})
    assert http.order(user, (product, 1)).json()["total"] == 3_000
    assert [order["total"] for order in http.get(f"/users/{user}/orders").json()] == [3_000, 1_000]


def test_best_sellers_cover_72_hours(shop: ServedShop) -> None:
    http = shop.http
    user = http.user(balance=10**9)
    bought = [http.product(price=1, stock=100) for _ in range(7)]
    assert http.get("/products/top").json() == []
    for product, quantity in zip(bought, [3, 9, 1, 9, 5, 4, 2], strict=True):
        http.order(user, (product, quantity))
    best = http.get("/products/top").json()
    assert [(each["id"], each["sold"], each["stock"]) for each in best] == [
        (bought[1], 9, 91),
        (bought[3], 9, 91),
        (bought[4], 5, 95),
        (bought[5], 4, 96),
        (bought[0], 3, 97),
    ]
    assert set(best[0]) == {"id", "name", "price", "stock", "sold"}
    http.post("/orders/2/cancel")
    assert http.get("/products/top").json()[0]["id"] == bought[3]
    shop.clock.ahead = timedelta(hours=72)
    assert http.get("/products/top").json() == []


def test_health(http: Http) -> None:
    for which in ("live", "ready"):
        answer = http.get(f"/health/{which}")
        assert (answer.status_code, answer.json()) == (200, {"status": which})
