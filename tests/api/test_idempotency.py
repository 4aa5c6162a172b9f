"""Idempotency keys over HTTP: a request is executed once, also when its copies arrive together or after a restart."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from tests.serving import Http, ServedShop


def test_every_repeated_post_gets_its_first_answer(shop: ServedShop) -> None:
    http = shop.http
    posts: list[tuple[str, object]] = [
        ("/users", {}),
        ("/users/1/balance", {"amount": 5_000}),
        ("/users/1/balance", {"amount": -1}),
        ("/users/9/balance", {"amount": 1}),
        ("/products", {"name": "rice", "price": 1_000, "stock": 5}),
        ("/products/1/stock", {"quantity": 5}),
        ("/campaigns", {"name": "c", "percent": 10, "quantity": 1}),
        ("/coupons", {"userId": 1}),
        ("/orders", {"userId": 1, "items": [{"productId": 1, "quantity": 2}], "couponId": 1}),
        ("/orders", {"userId": 1, "items": [{"productId": 1, "quantity": 99}]}),
        ("/orders/1/cancel", None),
        ("/orders/1/cancel", {}),
    ]
    for number, (path, body) in enumerate(posts):
        answers = [http.post(path, json=body, headers={"idempotency-key": f"k{number}"}) for _ in range(3)]
        first, second, third = answers
        assert first.content == second.content == third.content, path
        assert first.status_code == second.status_code == third.status_code
        assert "idempotency-replayed" not in first.headers
        malformed = first.json().get("field") is not None
        assert second.headers.get("idempotency-replayed") == (None if malformed else "true"), path
    assert http.get("/users/1/balance").json() == {"balance": 5_000}
    assert http.get("/products/1").json()["stock"] == 10
    assert len(http.get("/users/1/orders").json()) == 1


def test_formatting_of_the_json_does_not_matter(shop: ServedShop) -> None:
    shop.http.user()
    headers = {"idempotency-key": "a", "content-type": "application/json"}
    shop.http.post("/users/1/balance", content=b'{"amount":7}', headers=headers)
    again = shop.http.post("/users/1/balance", content=b'{ "amount" : 7 }', headers=headers)
    assert (again.status_code, again.headers["idempotency-replayed"]) == (201, "true")


def test_a_key_reused_for_another_request_is_refused(shop: ServedShop) -> None:
    http = shop.http
    http.user()
    http.user()
    http.post("/users/1/balance", json={"amount": 7}, headers={"idempotency-key": "a"})
    for path, body in (("/users/1/balance", {"amount": 8}), ("/users/2/balance", {"amount": 7}), ("/users", {})):
        answer = http.post(path, json=body, headers={"idempotency-key": "a"})
        assert (answer.status_code, answer.json()["type"]) == (422, "/problems/idempotency-key-reused")
    assert http.get("/users/1/balance").json() == {"balance": 7}


def test_concurrent_copies_are_executed_once(shop: ServedShop) -> None:
    user = shop.http.user()

    def charge(_: int) -> tuple[int, bytes, bool]:
        with Http(base_url=shop.address, timeout=30) as http:
            answer = http.post(f"/users/{user}/balance", json={"amount": 7}, headers={"idempotency-key": "a"})
            return answer.status_code, answer.content, "idempotency-replayed" in answer.headers

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(charge, range(40)))
    assert {(status, body) for status, body, _ in answers} == {(201, b'{"userId":1,"balance":7}')}
    assert [replayed for _, _, replayed in answers].count(False) == 1
    assert shop.http.get(f"/users/{user}/balance").json() == {"balance": 7}


def test_keys_survive_a_restart(open_shop: Callable[..., ServedShop]) -> None:
    before = open_shop()
    user, product = before.http.user(balance=5_000), before.http.product()
    first = before.http.order(user, (product, 2), key="once")
    before.close()
    after = open_shop().http
    again = after.order(user, (product, 2), key="once")
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["idempotency-replayed"] == "true"
    assert after.get(f"/users/{user}/balance").json() == {"balance": 3_000}
