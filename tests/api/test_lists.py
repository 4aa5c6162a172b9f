"""Lists are paged; each page links to the next (RFC 8288)."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from jangteo.api.responses import result_response
from jangteo.api.routes import ROUTES
from jangteo.storage.port import Page
from tests.serving import Http, ServedShop


@pytest.fixture
def full(shop: ServedShop) -> Http:
    http = shop.http
    http.user(balance=10_000)
    for number in range(5):
        http.product(name=f"product {number}", price=10)
        http.coupon(1, http.campaign())
        http.order(1, (1, 1))
    return http


LISTS = [
    ("/products", "id", [1, 2, 3, 4, 5]),
    ("/campaigns", "campaignId", [1, 2, 3, 4, 5]),
    ("/users/1/coupons", "couponId", [1, 2, 3, 4, 5]),
    ("/users/1/orders", "orderId", [5, 4, 3, 2, 1]),
    ("/users/1/ledger", "balanceAfter", [9_950, 9_960, 9_970, 9_980, 9_990, 10_000]),
]


def next_page(answer: httpx.Response) -> str | None:
    link = answer.links.get("next")
    return None if link is None else str(answer.url.join(link["url"]))


@pytest.mark.parametrize(("path", "key", "expected"), LISTS)
@pytest.mark.parametrize("limit", [1, 2, 5, 6, 1000])
def test_following_the_links_lists_every_item_once(
    full: Http, path: str, key: str, expected: list[int], limit: int
) -> None:
    seen: list[Any] = []
    url: str | None = f"{path}?limit={limit}"
    while url:
        answer = full.get(url)
        assert answer.status_code == 200, answer.text
        assert 0 < len(answer.json()) <= limit
        seen += [each[key] for each in answer.json()]
        url = next_page(answer)
    assert seen == expected


def test_without_a_limit_products_are_listed_whole_and_others_a_hundred(shop: ServedShop) -> None:
    http = shop.http
    user = http.user()
    for _ in range(101):
        http.product()
        http.post(f"/users/{user}/balance", json={"amount": 1})
    assert len(http.get("/products").json()) == 101
    assert "link" not in http.get("/products").headers
    ledger = http.get(f"/users/{user}/ledger")
    assert len(ledger.json()) == 100
    following = next_page(ledger)
    assert following is not None
    assert len(http.get(following).json()) == 1


def test_a_link_is_relative_to_the_request_so_that_it_holds_behind_any_prefix(full: Http) -> None:
    assert full.get("/products?limit=2").headers["link"] == '<?limit=2&after=2>; rel="next"'


def test_a_link_keeps_the_other_parameters_of_the_request() -> None:
    route = next(each for each in ROUTES if (each.method, each.path) == ("GET", "/products"))
    response = result_response(route, Page([1, 2], 7), b"q=a%26b%20%ED%95%9C&limit=2&after=5&sku=")
    assert (b"link", b'<?q=a%26b+%ED%95%9C&sku=&limit=2&after=7>; rel="next"') in response.headers


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=many", "limit"),
        ("limit=", "limit"),
        ("limit=1.5", "limit"),
        ("limit=1.0", "limit"),
        ("limit=1e1", "limit"),
        ("after=null", "after"),
        ("after=-1", "after"),
        ("after=9007199254740992", "after"),
        ("limit=1&limit=2", "limit"),
        ("limits=1", "limits"),
        ("%ff=1", "%ff"),
    ],
)
@pytest.mark.parametrize("path", ["/products", "/campaigns", "/users/1/orders"])
def test_a_malformed_parameter_is_named(full: Http, path: str, query: str, field: str) -> None:
    answer = full.get(f"{path}?{query}")
    assert answer.status_code == 400
    assert answer.json()["type"] == "/problems/invalid-request"
    assert field in answer.json()["field"] or field == "%ff"
