"""Who may make which call: every route and every kind of caller, held against the table in `table.txt`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from ipaddress import ip_address
from itertools import count
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
import pytest

from jangteo.api import examples
from jangteo.api.route import Route
from jangteo.api.routes import ROUTES
from jangteo.core.keys import SCOPES
from jangteo.core.products import AddProduct
from jangteo.core.wallets import ChargeBalance, RegisterUser
from tests.api.access.callers import bearer, do, key, settings_for_customers
from tests.api.access.provider import token
from tests.serving import ServedShop

TABLE: Final = Path(__file__).with_name("table.txt")
CALLERS: Final = (
    "nobody",
    "ended key",
    "revoked key",
    "wrong scope",
    "right scope",
    "own customer",
    "another",
    "forged key",
    "forged token",
)
FORBIDDEN, UNAUTHENTICATED, NOT_FOUND = 403, 401, 404


@pytest.fixture
def opened(tmp_path: Path, open_shop: Callable[..., ServedShop]) -> Callable[..., ServedShop]:
    # Each request comes from another address: one may not fail so often.
    return partial(open_shop, access="keys", trusted_proxies=("127.0.0.1",), **settings_for_customers(tmp_path))


def rows(title: str, shop: ServedShop, routes: list[Route]) -> Iterator[str]:
    """The rows of the table for these routes, as the shop answers."""
    database = shop.shop.settings.database
    do(database, RegisterUser(None))
    do(database, RegisterUser(None))
    do(database, ChargeBalance(1, 9_000_000))
    do(database, AddProduct("rice", 1, 9_999))
    all_scopes = key(database, *SCOPES)
    place = {"userId": 1, "items": [{"productId": 1, "quantity": 1}]}
    assert shop.http.post("/orders", json=place, headers=bearer(all_scopes)).status_code == 201
    assert shop.http.post("/campaigns", json=BODIES["/campaigns"], headers=bearer(all_scopes)).status_code == 201
    lone = {scope: key(database, scope) for scope in SCOPES}
    others = {scope: key(database, *(each for each in SCOPES if each != scope)) for scope in SCOPES}
    ended, revoked = key(database, *SCOPES, ended=True), key(database, *SCOPES, revoked=True)
    yield f"{title:<42}  " + "  ".join(f"{caller:<15}" for caller in CALLERS).rstrip()
    for route in routes:
        scope = route.access.scope
        credentials = {
            "ended key": ended,
            "revoked key": revoked,
            "wrong scope": others[scope or "keys"],
            "right scope": lone[scope or "keys"],
            "own customer": token(sub="1").decode(),
            "another": token(sub="2").decode(),
            "forged key": f"{all_scopes[:-40]}{'A' * 40}",
            "forged token": token(sub="1", number=9).decode(),
        }
        answers = [said(ask(shop, route, bearer(credentials[each]) if each in credentials else {})) for each in CALLERS]
        yield f"{f'{route.method} {route.path}':<42}  " + "  ".join(f"{each:<15}" for each in answers).rstrip()


BODIES: Final[dict[str, Any]] = {
    "/campaigns": {"name": "Opening", "quantity": 9, "discount": 1},
    "/orders": {"userId": 1, "items": [{"productId": 1, "quantity": 1}]},
    "/bulk": [{"call": "POST /users"}],
}


_ADDRESSES: Final = map(ip_address, count(0x0A000001))


def ask(shop: ServedShop, route: Route, headers: dict[str, str]) -> httpx.Response:
    headers = {**headers, "x-forwarded-for": str(next(_ADDRESSES))}
    # Key 1 is none of those that ask.
    path = "/".join("1" if each.startswith("{") else each for each in route.path.split("/"))
    if route.body is None:
        return shop.http.request(route.method, path, headers=headers)
    body = BODIES.get(route.path)
    if body is None:
        body = msgspec.to_builtins(examples.BODIES[route.body])
    return shop.http.request(route.method, path, json=body, headers=headers)


def said(answer: httpx.Response) -> str:
    """`yes` for whatever is no matter of who asks."""
    slug = str(answer.json().get("type", "")).rpartition("/")[2] if answer.status_code >= 400 else ""
    if answer.status_code == UNAUTHENTICATED:
        assert slug == "unauthenticated"
        assert answer.headers["www-authenticate"].startswith('Bearer realm="jangteo"')
        return "401"
    if answer.status_code == FORBIDDEN:
        return f"403 {slug}"
    return "404" if answer.status_code == NOT_FOUND else "yes"


def test_every_route_admits_whom_the_table_says(opened: Callable[..., ServedShop]) -> None:
    shop = opened()
    found = list(rows("public reads open", shop, list(ROUTES)))
    assert found == TABLE.read_text().split("\n\n")[0].splitlines()


def test_closed_public_reads_admit_whom_the_table_says(opened: Callable[..., ServedShop]) -> None:
    shop = opened(public_reads=False)
    found = list(rows("public reads closed", shop, [each for each in ROUTES if each.access.public == "reads"]))
    assert found == TABLE.read_text().split("\n\n")[1].splitlines()
