"""During the drain readiness fails, all else is answered, and every answer closes its connection."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.serving import ServedShop


@pytest.fixture
def draining_shop(shop: ServedShop) -> ServedShop:
    shop.shop.drain.has_begun = True
    return shop


def exchange(shop: ServedShop, *requests: bytes) -> bytes:
    """Send requests in one piece over one connection, and return all that comes until the server closes it."""
    host, port = shop.address.removeprefix("http://").split(":")
    answered = b""
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(b"".join(requests))
        while data := connection.recv(65_536):
            answered += data
    return answered


def test_readiness_is_a_problem_that_names_the_drain(draining_shop: ServedShop) -> None:
    answer = draining_shop.http.get("/health/ready")
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
    assert (answer.json()["type"], answer.json()["status"]) == ("/problems/draining", 503)
    assert draining_shop.http.head("/health/ready").status_code == 503


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/health/live", 200),
        ("HEAD", "/health/ready", 503),
        ("GET", "/products", 200),
        ("POST", "/users", 201),
        ("GET", "/users/9/balance", 404),
        ("GET", "/products?limit=x", 400),
        ("DELETE", "/users", 405),
        ("GET", "/nowhere", 404),
        ("GET", "/schema", 200),
        ("GET", "/", 307),
    ],
)
def test_everything_else_is_answered_and_every_answer_closes_its_connection(
    draining_shop: ServedShop, method: str, path: str, status: int
) -> None:
    answer = draining_shop.http.request(method, path, json={} if method == "POST" else None)
    assert (answer.status_code, answer.headers.get("connection")) == (status, "close")


def test_a_request_that_is_no_http_closes_its_connection_too(draining_shop: ServedShop) -> None:
    answered = exchange(draining_shop, b"nonsense\r\n\r\n")
    assert answered.startswith(b"HTTP/1.1 400 ")
    assert answered.lower().count(b"connection: close\r\n") == 1


def test_a_request_in_flight_when_the_drain_begins_closes_its_connection(shop: ServedShop) -> None:
    assert "connection" not in shop.http.get("/health/live").headers
    shop.clock.block_commits()
    with ThreadPoolExecutor(1) as client:
        asked = client.submit(shop.http.post, "/users", json={})
        assert shop.clock.commit_blocked.wait(30)
        shop.shop.drain.has_begun = True
        shop.clock.commits_allowed.set()
        answer = asked.result(30)
    assert (answer.status_code, answer.headers["connection"]) == (201, "close")


def test_of_pipelined_requests_the_first_is_answered_and_the_others_are_not_executed(draining_shop: ServedShop) -> None:
    request = (
        b"POST /users HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
    )
    answered = exchange(draining_shop, request, request, request)
    assert answered.startswith(b"HTTP/1.1 201 ")
    assert answered.count(b"HTTP/1.1 ") == answered.lower().count(b"connection: close\r\n") == 1
    assert draining_shop.http.get("/users/1/balance").status_code == 200
    assert draining_shop.http.get("/users/2/balance").status_code == 404
