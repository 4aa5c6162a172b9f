"""The best sellers over HTTP: limit, days, method, and the time the answer is exact as of."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime, timedelta
from time import monotonic
from typing import Any

import pytest

from tests.serving import Http, ServedShop

TOP = "/products/top"
DAY = timedelta(days=1)


@pytest.fixture
def full(shop: ServedShop) -> Http:
    """Seven products: the first has sold seven times, the last once."""
    http = shop.http
    user = http.user(balance=1_000_000)
    for number in range(7):
        product = http.product(price=10, name=f"product {number}")
        assert http.order(user, (product, 7 - number)).status_code == 201
    return http


def sold(answer: Any) -> list[tuple[int, int]]:
    assert answer.status_code == 200, answer.text
    return [(each["id"], each["sold"]) for each in answer.json()]


ALL = [(number, 8 - number) for number in range(1, 8)]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ALL[:5]),
        ("limit=1", ALL[:1]),
        ("limit=6", ALL[:6]),
        ("limit=100", ALL),
        ("days=1", ALL[:5]),
        ("days=30&limit=100", ALL),
        ("days=7&limit=2", ALL[:2]),
    ],
)
@pytest.mark.parametrize("method", ["", "summary", "direct"])
def test_lists_up_to_the_limit_five_by_default(
    full: Http, query: str, expected: list[tuple[int, int]], method: str
) -> None:
    chosen = f"method={method}" if method else ""
    answer = full.get(f"{TOP}?{'&'.join(filter(None, (query, chosen)))}")
    assert sold(answer) == expected
    assert set(answer.json()[0]) == {"id", "name", "price", "stock", "sold"}


@pytest.mark.parametrize("method", ["summary", "direct"])
@pytest.mark.parametrize("query", ["", "&days=7"])
def test_as_of_says_when_the_answer_was_exact(full: Http, query: str, method: str) -> None:
    answers = [full.get(f"{TOP}?method={method}{query}") for _ in range(2)]
    first, second = (datetime.fromisoformat(answer.headers["as-of"]) for answer in answers)
    assert first.utcoffset() == timedelta()
    assert answers[0].headers["as-of"].endswith("Z")
    assert first < second, "every answer has its own time"


@pytest.mark.parametrize("path", [TOP, f"{TOP}?method=direct", f"{TOP}?days=7"])
def test_head_has_the_headers_of_get(full: Http, path: str) -> None:
    head, whole = full.head(path), full.get(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(whole.content))
    assert "as-of" in head.headers


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=-1", "limit"),
        ("limit=five", "limit"),
        ("limit=", "limit"),
        ("limit=1&limit=2", "limit"),
        ("days=0", "days"),
        ("days=31", "days"),
        ("days=1.5", "days"),
        ("days=1&days=1", "days"),
        ("method=fast", "method"),
        ("method=", "method"),
        ("method=Direct", "method"),
        ("method=1", "method"),
        ("method=direct&method=summary", "method"),
        ("after=1", "after"),
    ],
)
def test_an_invalid_parameter_is_named(full: Http, query: str, field: str) -> None:
    answer = full.get(f"{TOP}?{query}")
    assert answer.status_code == 400
    assert (answer.json()["type"], answer.json()["field"]) == ("/problems/invalid-request", field)


def test_a_first_request_is_answered_exactly_and_starts_a_window(full: Http, shop: ServedShop) -> None:
    shop.clock.ahead = 5 * DAY
    assert sold(full.get(TOP)) == []
    assert sold(full.get(f"{TOP}?days=7")) == ALL[:5]
    wait_until_active(shop, 7)
    assert full.post("/orders/7/cancel").status_code == 200
    for method in ("summary", "direct"):
        assert sold(full.get(f"{TOP}?days=7&limit=100&method={method}")) == ALL[:6]
        assert sold(full.get(f"{TOP}?days=5&method={method}")) == []
    shop.clock.ahead = 7 * DAY
    assert sold(full.get(f"{TOP}?days=7")) == []


def wait_until_active(shop: ServedShop, days: int) -> None:
    """A server refreshes once a second."""
    end, sql = monotonic() + 30, "SELECT 1 FROM best_seller_windows WHERE days = :days AND state = 'active'"
    with closing(shop.shop.storage.connect()) as connection:
        found = False
        while not found:
            assert monotonic() < end, "no active window"
            with connection.snapshot(shop.clock()) as snapshot:
                found = bool(snapshot.rows(sql, days=days))


def test_the_documentation_has_the_parameters(shop: ServedShop) -> None:
    described = shop.http.get("/schema/openapi.json").json()["paths"][TOP]["get"]
    parameters = {each["name"]: each["schema"] for each in described["parameters"]}
    assert {name: schema["default"] for name, schema in parameters.items()} == {
        "limit": 5,
        "days": 3,
        "method": "summary",
    }
    assert (parameters["limit"]["minimum"], parameters["limit"]["maximum"]) == (1, 100)
    assert (parameters["days"]["minimum"], parameters["days"]["maximum"]) == (1, 30)
    assert sorted(parameters["method"]["enum"]) == ["direct", "summary"]
    assert described["responses"]["200"]["headers"]["As-Of"]["schema"]["format"] == "date-time"
    page = shop.http.get("/schema", headers={"accept": "text/html"}).text
    assert "direct or summary" in page
    assert "5 if left out" in page
