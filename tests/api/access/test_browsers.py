"""Browsers reach a shop by its own names only, and change something for its own and for allowed pages only."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from jangteo.api.access.browsers import Browsers, InvalidOrigin
from jangteo.api.access.hosts import Hosts, InvalidHost
from jangteo.api.http.messages import Request
from jangteo.api.problems import CROSS_SITE, MISDIRECTED
from jangteo.api.requests import Malformed
from tests.connections import received
from tests.serving import ServedShop

ORIGIN = "https://front.example.com"
SHOP = Hosts(["shop"], listens_on="0.0.0.0")
BROWSERS = Browsers(SHOP, [ORIGIN])


def asked(
    *headers: tuple[bytes, bytes], host: bytes | None = b"shop:8000", method: str = "POST", path: str = "/users"
) -> Request:
    named = [] if host is None else [(b"host", host)]
    return Request(method, path, b"", [*named, *headers], b"", keep_alive=True)


@pytest.mark.parametrize(
    ("listens_on", "names", "own", "others"),
    [
        (
            "127.0.0.1",
            [],
            ["127.0.0.1", "127.0.0.1:8000", "LOCALHOST:1", "[::1]:8000", "localhost.", "127.9.9.9"],
            ["shop", "evil.example", "10.0.0.5", "localhost.evil.example", "127.0.0.1.evil.com", "", "[::1", "a:b"],
        ),
        ("127.0.0.1", ["shop.example.com"], ["localhost", "shop.example.com:443"], ["a.shop.example.com", "com"]),
        ("0.0.0.0", [], ["10.0.0.5:8000", "[fe80::1]", "shop", "shop:8000"], ["evil.example", "", "shop.internal"]),
        ("0.0.0.0", ["*.example.com"], ["a.example.com", "a.b.example.com"], ["example.com", "xexample.com"]),
        ("0.0.0.0", ["10.0.0.5", "[::1]"], ["10.0.0.5", "[::1]:80"], ["10.0.0.6", "localhost"]),
        ("127.0.0.1", ["*"], ["evil.example"], ["[::1"]),
    ],
)  # fmt: skip
def test_a_server_has_its_own_names_only(listens_on: str, names: list[str], own: list[str], others: list[str]) -> None:
    hosts = Hosts(names, listens_on=listens_on)
    assert [host for host in own if not hosts.has(host.encode())] == []
    assert [host for host in others if hosts.has(host.encode())] == []
    assert [host for host in own if not hosts.has(host.encode())] == [], "found the same a second time"


@pytest.mark.parametrize("name", ["", "http://shop", "shop/x", "a b", "*shop", "**", "ä"])
def test_what_is_no_name_of_a_server_is_an_error(name: str) -> None:
    with pytest.raises(InvalidHost, match="is no name"):
        Hosts([name], listens_on="127.0.0.1")


@pytest.mark.parametrize(
    "origin", ["", "*", "null", "front.example.com", ORIGIN + "/", ORIGIN.upper(), ORIGIN + ":port", "file://x"]
)
def test_what_is_no_origin_is_an_error(origin: str) -> None:
    with pytest.raises(InvalidOrigin, match="is no origin"):
        Browsers(SHOP, [origin])


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "HEAD"])
def test_a_request_for_another_host_is_refused_whatever_it_does(method: str) -> None:
    with pytest.raises(Malformed) as error:
        BROWSERS.check(asked(host=b"evil.example", method=method))
    assert (error.value.field, error.value.kind) == ("Host", MISDIRECTED)


def test_health_is_answered_for_any_host_and_a_program_of_http_1_0_has_none() -> None:
    BROWSERS.check(asked(host=b"10.1.2.3:8000", method="GET", path="/health/ready"))
    BROWSERS.check(asked(host=None))


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (asked((b"sec-fetch-site", b"cross-site")), "Sec-Fetch-Site"),
        (asked((b"sec-fetch-site", b"same-site")), "Sec-Fetch-Site"),
        (asked((b"sec-fetch-site", b"cross-site"), method="PATCH"), "Sec-Fetch-Site"),
        (asked((b"sec-fetch-site", b"cross-site"), method="DELETE"), "Sec-Fetch-Site"),
        (asked((b"sec-fetch-site", b"cross-site"), (b"origin", b"https://front.example.com.evil")), "Sec-Fetch-Site"),
        (asked((b"origin", b"http://elsewhere")), "Origin"),
        (asked((b"origin", b"http://shop:8001")), "Origin"),
        (asked((b"origin", b"null")), "Origin"),
        (asked((b"origin", b"")), "Origin"),
        (asked((b"origin", b"null"), host=None), "Origin"),
        (asked((b"origin", b"http://front.example.com")), "Origin"),
    ],
)
def test_what_another_sites_page_would_change_is_refused(request_: Request, field: str) -> None:
    with pytest.raises(Malformed) as error:
        BROWSERS.check(request_)
    assert (error.value.field, error.value.kind) == (field, CROSS_SITE)


@pytest.mark.parametrize(
    "request_",
    [
        asked(),
        asked((b"sec-fetch-site", b"same-origin"), (b"origin", b"https://shop")),
        asked((b"sec-fetch-site", b"none")),
        asked((b"origin", b"http://Shop:8000")),
        asked((b"sec-fetch-site", b"cross-site"), (b"origin", ORIGIN.encode())),
        asked((b"sec-fetch-site", b"cross-site"), method="GET"),
    ],
)
def test_programs_own_pages_and_allowed_origins_may_change_something_and_any_page_may_ask(request_: Request) -> None:
    BROWSERS.check(request_)


PREFLIGHT = {"access-control-request-method": "POST", "access-control-request-headers": "authorization,content-type"}


def test_a_page_of_an_allowed_origin_orders_from_a_browser(open_shop: Callable[..., ServedShop]) -> None:
    http = open_shop(allowed_origins=(ORIGIN,)).http
    preflight = http.options("/orders", headers={"origin": ORIGIN, **PREFLIGHT})
    assert (preflight.status_code, preflight.content) == (204, b"")
    assert preflight.headers["access-control-allow-origin"] == ORIGIN
    assert preflight.headers["access-control-allow-methods"] == "POST"
    assert preflight.headers["vary"] == "origin"
    assert {"authorization", "content-type", "idempotency-key"} == set(
        preflight.headers["access-control-allow-headers"].split(", ")
    )
    made = http.post("/users", json={}, headers={"origin": ORIGIN, "sec-fetch-site": "cross-site"})
    assert made.status_code == 201
    assert made.headers["access-control-allow-origin"] == ORIGIN
    # A refusal, too, is for the page to read.
    refused = http.get("/users/9/balance", headers={"origin": ORIGIN})
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (404, ORIGIN)
    assert "access-control-allow-credentials" not in made.headers


def test_pages_of_other_origins_may_neither_ask_nor_read(open_shop: Callable[..., ServedShop]) -> None:
    http = open_shop(allowed_origins=(ORIGIN,)).http
    for origin in ("https://evil.example", "null", "https://front.example.com.evil.example"):
        preflight = http.options("/orders", headers={"origin": origin, **PREFLIGHT})
        assert (preflight.status_code, preflight.json()["type"]) == (403, "/problems/cross-site")
        read = http.get("/products", headers={"origin": origin, "sec-fetch-site": "cross-site"})
        assert not any(name.startswith("access-control-") for name in (*preflight.headers, *read.headers))
        assert read.headers["vary"] == "origin", "a cache must not give this to an allowed origin"


def test_without_preflight_headers_options_is_a_method_like_others(shop: ServedShop) -> None:
    answer = shop.http.options("/orders")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_a_rebound_name_reaches_nothing(shop: ServedShop) -> None:
    """An attacker's page has its own name lead to loopback, so that for the browser it is the same origin."""
    host, port = shop.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as client:
        client.sendall(
            b"POST /users HTTP/1.1\r\nHost: evil.example:%b\r\nOrigin: http://evil.example:%b\r\n"
            b"Sec-Fetch-Site: same-origin\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
            b"Connection: close\r\n\r\n{}" % (port.encode(), port.encode())
        )
        answer = received(client)
    assert answer.startswith(b"HTTP/1.1 421 ")
    assert b"/problems/misdirected-request" in answer
    assert shop.http.user() == 1, "nobody was registered before"


def test_a_form_of_another_site_changes_nothing(shop: ServedShop) -> None:
    answer = shop.http.post("/users", headers={"sec-fetch-site": "cross-site", "origin": "https://evil.example"})
    assert (answer.status_code, answer.json()["type"]) == (403, "/problems/cross-site")
    assert shop.http.user() == 1


@pytest.mark.parametrize("path", ["/", "/schema", "/schema/openapi.json", "/problems/out-of-stock", "/schema/events"])
def test_every_page_carries_the_security_headers(shop: ServedShop, path: str) -> None:
    page = shop.http.get(path, headers={"accept": "text/html"})
    policy = page.headers["content-security-policy"]
    for rule in ("default-src 'none'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"):
        assert rule in policy
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["x-frame-options"] == "DENY"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["cross-origin-opener-policy"] == page.headers["cross-origin-resource-policy"] == "same-origin"
