"""What the loads' figures say: fairness, and answers counted client by client."""

from __future__ import annotations

import json
import math
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from bench.loads import clients, wrk
from bench.loads.load import CannotMeasure, fairness_of


def test_clients_with_equally_many_answers_are_served_fairly() -> None:
    assert fairness_of([7, 7, 7]) == 1


def test_one_of_n_clients_with_all_answers_makes_the_index_one_nth() -> None:
    assert fairness_of([9, 0, 0, 0]) == pytest.approx(0.25)


def test_uneven_answers_are_between() -> None:
    assert fairness_of([1, 3]) == pytest.approx(16 / 20)


def test_without_answers_there_is_no_fairness() -> None:
    assert math.isnan(fairness_of([0, 0]))


@contextmanager
def answering(*answers: list[bytes]) -> Iterator[str]:
    """Serve one connection: each request gets its answer, in the given pieces; the address is yielded."""

    def serve() -> None:
        connection, _ = listening.accept()
        with connection:
            for pieces in answers:
                connection.recv(65_536)
                for piece in pieces:
                    connection.sendall(piece)
            connection.recv(65_536)

    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        server = threading.Thread(target=serve)
        server.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.join()


def test_every_answer_is_given_to_the_caller_and_failures_are_counted_apart() -> None:
    created = [b"HTTP/1.1 201 Created\r\ncontent-", b"length: 4\r\n\r\n12", b"34"]
    refused = [b"HTTP/1.1 409 Conflict\r\nContent-Length: 0\r\n\r\n"]
    answered: list[tuple[int, bytes]] = []
    with answering(created, refused) as address:
        requests = iter([clients.order(address, 1, (1, 1)), clients.order(address, 2, (1, 1))])
        (client,) = clients.run(address, [requests], 30, lambda status, body: answered.append((status, body)))
    assert answered == [(201, b"1234"), (409, b"")]
    assert len(client.times_ms) == 1
    assert client.failed == 1


def test_a_client_that_cannot_connect_is_named() -> None:
    with pytest.raises(CannotMeasure, match="does not accept 1 clients"):
        clients.run("http://127.0.0.1:1", [iter([b""])], 1)


def test_an_order_is_one_complete_request() -> None:
    head, _, body = clients.order("http://shop:80", 3, (1, 1), (2, 2)).partition(b"\r\n\r\n")
    assert head.startswith(b"POST /orders HTTP/1.1\r\nHost: shop:80\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    items = [{"productId": 1, "quantity": 1}, {"productId": 2, "quantity": 2}]
    assert json.loads(body) == {"userId": 3, "items": items}


PRINTED = """Running 3s test @ http://127.0.0.1:1
  Latency Distribution
     50%    2.00ms
     99%    5.00ms
  300 requests in 3.00s, 1.00MB read
Requests/sec:    100.00
"""


@pytest.mark.parametrize(
    ("line", "failed"),
    [
        ("", 0),
        ("  Non-2xx or 3xx responses: 7", 7),
        ("  Socket errors: connect 1, read 2, write 3, timeout 4", 10),
        ("Calls not answered with 201: 5", 5),
        ("  Non-2xx or 3xx responses: 7\nCalls not answered with 201: 5", 12),
    ],
)
def test_failed_requests_and_failed_calls_of_bulk_requests_are_counted(line: str, failed: int) -> None:
    assert wrk.read_output(PRINTED + line + "\n").failed == failed
