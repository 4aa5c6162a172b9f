"""A connection answers what was asked, in order, and takes bounded time and memory, whoever the client is."""

from __future__ import annotations

import logging
import resource
import socket
import threading
import time
from contextlib import ExitStack

import pytest

from tests.connections import LARGE_BYTES, Serve, problem, receive, received, send_until_cut_off

HOST = b"Host: shop\r\n"
GET = b"GET /a HTTP/1.1\r\n" + HOST + b"\r\n"
SLOW = b"GET /slow HTTP/1.1\r\n" + HOST + b"\r\n"
LAST = b"GET /last HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"
LARGE = b"GET /large HTTP/1.1\r\n" + HOST + b"\r\n"
SHORT = 0.3
"""A bound on time that a test waits for, in seconds."""


def test_what_was_done_is_answered_before_the_bytes_behind_it_are_refused(serve: Serve) -> None:
    served = serve()
    for stray in (b"nonsense", b"\x00", b"GET\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"):
        answered = served.exchange(SLOW[:-2].replace(b"/slow", b"/a") + b"\r\n" + stray)
        assert answered.startswith(b"HTTP/1.1 200 "), stray
        assert answered.count(b"HTTP/1.1 ") == 2
        assert problem(answered)["type"] == "/problems/invalid-request"


def test_stray_bytes_that_come_while_a_request_is_answered_are_refused_behind_its_answer(serve: Serve) -> None:
    served = serve()
    with served.connect() as client:
        client.sendall(SLOW)
        assert served.application.slow_asked.acquire(timeout=30)
        client.sendall(b"nonsense\r\n\r\n")
        served.application.allow_slow()
        answered = received(client)
    assert answered.startswith(b"HTTP/1.1 200 ")
    assert problem(answered)["status"] == 400


def test_a_head_that_is_refused_is_answered_without_a_body(serve: Serve) -> None:
    served = serve()
    for headers in (HOST + HOST, HOST + b"X: \x1b\r\n", HOST + b"X : y\r\n"):
        answered = served.exchange(b"HEAD /a HTTP/1.1\r\n" + headers + b"\r\n")
        assert answered.startswith(b"HTTP/1.1 400 ")
        assert answered.endswith(b"\r\n\r\n")
    behind_a_complete_one = served.exchange(b"HEAD /a HTTP/1.1\r\n" + HOST + b"\r\nnonsense\r\n\r\n")
    assert problem(behind_a_complete_one)["status"] == 400


def test_pipelined_requests_are_answered_in_order_and_a_bound_on_time_is_one_requests_own(serve: Serve) -> None:
    served = serve(arrival_timeout_s=SHORT)
    with served.connect() as client:
        before = time.monotonic()
        while time.monotonic() < before + 3 * SHORT:
            client.sendall(b"".join(GET.replace(b"/a", b"/%d" % each) for each in range(100)) + GET[:10])
            answered = receive(client, b"/99 ")
            assert [line for line in answered.split(b"\r\n") if line.startswith(b"/")][-1] == b"/99 "
            client.sendall(GET[10:])
            receive(client, b"/a ")


def test_a_request_that_arrives_too_slowly_is_answered_408(serve: Serve) -> None:
    served = serve(arrival_timeout_s=SHORT)
    for before, sent in (
        (0, b"G"),
        (0, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{"),
        (1, GET + b"POST "),
    ):
        answered = served.exchange(sent)
        assert answered.count(b"HTTP/1.1 200") == before
        assert problem(answered)["type"] == "/problems/request-timeout"
    assert served.exchange(b"") == b""
    assert served.exchange(b"\r\n") == b""


def test_an_idle_connection_is_closed_in_time_also_when_line_ends_keep_coming(serve: Serve) -> None:
    served = serve(keep_alive_timeout_s=SHORT)
    with served.connect() as client:
        client.sendall(GET)
        receive(client, b"/a ")
        began = time.monotonic()
        client.settimeout(SHORT / 10)
        while time.monotonic() < began + 30:
            try:
                client.sendall(b"\r\n")
                if not client.recv(1):
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /" + b"a" * 20_000_000, 414),
        (b"GET /a HTTP/1.1\r\n" + b"a: b\r\n" * 2_000_000, 431),
        (b"POST /a HTTP/1.1\r\n" + HOST + b"Content-Length: 20000000\r\n\r\n" + b"a" * 20_000_000, 413),
        (b"POST /a HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"a: b\r\n" * 2_000_000, 413),
        (b"\r\n" * 5_000_000, 400),
    ],
)
def test_a_client_that_goes_on_sending_what_is_refused_still_gets_its_answer(
    serve: Serve, sent: bytes, status: int
) -> None:
    assert problem(serve(closing_timeout_s=30).exchange(sent))["status"] == status


def test_what_a_refused_client_sends_is_read_for_a_bounded_time_and_fills_no_memory(serve: Serve) -> None:
    served = serve(closing_timeout_s=SHORT)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with served.connect() as client:
        send_until_cut_off(client, b"a: b\r\n" * 100_000)
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kib < 100_000


@pytest.mark.parametrize("request_", [LARGE, GET * 100], ids=["a large answer", "many answers"])
def test_a_client_that_reads_nothing_is_dropped_and_what_it_sends_is_not_taken(serve: Serve, request_: bytes) -> None:
    served = serve(sending_timeout_s=SHORT)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        client.settimeout(30)
        client.connect(("127.0.0.1", served.port))
        send_until_cut_off(client, request_ * 100)
    # 8 MB fill the buffers of the kernel; of the small answers, many do.
    assert len(served.application.asked) < 200_000


def test_a_client_that_reads_slowly_gets_all_of_its_answer(serve: Serve) -> None:
    served = serve(sending_timeout_s=SHORT)
    with served.connect() as client:
        client.sendall(LARGE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        got = 0
        while more := client.recv(400_000):
            got += len(more)
            threading.Event().wait(SHORT / 10)
        assert got > LARGE_BYTES


def test_a_client_may_end_its_side_as_soon_as_it_has_asked(serve: Serve) -> None:
    served = serve()
    with served.connect() as client:
        client.sendall(GET + SLOW)
        client.shutdown(socket.SHUT_WR)
        assert served.application.slow_asked.acquire(timeout=30)
        served.application.allow_slow()
        assert received(client).count(b"HTTP/1.1 200") == 2


def test_a_client_that_leaves_is_not_an_error_and_what_it_had_not_begun_is_not_done(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    served = serve()
    caplog.set_level(logging.DEBUG)
    for leave in (False, True):
        with served.connect() as client:
            client.sendall(SLOW + GET)
            assert served.application.slow_asked.acquire(timeout=30)
            if leave:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    served.exchange(LAST)
    served.application.allow_slow()
    served.exchange(LAST)
    assert [each for each in caplog.records if each.levelno >= logging.WARNING or each.exc_info] == []


def test_a_client_that_expects_it_is_asked_for_the_body(serve: Serve) -> None:
    served = serve()
    head = b"POST /a HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\nContent-Length: 5\r\n"
    with served.connect() as client:
        client.sendall(SLOW + head + b"\r\n")
        assert served.application.slow_asked.acquire(timeout=30)
        served.application.allow_slow()
        assert receive(client, b"100 Continue\r\n\r\n").startswith(b"HTTP/1.1 200 ")
        client.sendall(b"hello")
        receive(client, b"/a hello")
        client.sendall(head + b"Connection: close\r\n\r\nhello")
        assert received(client).count(b"HTTP/1.1 ") == 1
    refused = served.exchange(head.replace(b": 5", b": 500000") + b"\r\n")
    assert (problem(refused)["status"], refused.count(b"HTTP/1.1 ")) == (413, 1)


def test_a_full_server_closes_the_connection_that_has_been_idle_longest_for_a_new_one(serve: Serve) -> None:
    served = serve(most=3)
    with served.connect() as first, served.connect() as second, served.connect() as busy:
        for client in (second, first):
            client.sendall(GET)
            receive(client, b"/a ")
        busy.sendall(SLOW)
        assert served.application.slow_asked.acquire(timeout=30)
        with served.connect() as new:
            new.sendall(GET)
            receive(new, b"/a ")
            assert second.recv(1) == b""
            first.sendall(GET)
            receive(first, b"/a ")
        served.application.allow_slow()
        receive(busy, b"/slow ")


def test_a_server_that_is_full_of_requests_refuses_a_new_connection(serve: Serve) -> None:
    served = serve(most=2)
    with served.connect() as one, served.connect() as another:
        for client in (one, another):
            client.sendall(SLOW)
            assert served.application.slow_asked.acquire(timeout=30)
        refused = served.exchange(GET)
        assert problem(refused)["type"] == "/problems/overloaded"
        assert b"retry-after: 1\r\n" in refused
        served.application.allow_slow()
        for client in (one, another):
            receive(client, b"/slow ")
    assert served.exchange(LAST).startswith(b"HTTP/1.1 200 ")


def test_refused_connections_that_stay_open_make_no_room_for_more_than_there_may_be(serve: Serve) -> None:
    served = serve(most=2)
    with ExitStack() as open_ones:
        for _ in range(2):
            busy = open_ones.enter_context(served.connect())
            busy.sendall(SLOW)
            assert served.application.slow_asked.acquire(timeout=30)
        for _ in range(5):
            refused = open_ones.enter_context(served.connect())
            refused.sendall(GET)
            assert refused.recv(65_536).startswith(b"HTTP/1.1 503 ")
        served.application.allow_slow()
    assert served.application.asked == ["/slow", "/slow"]


def test_a_request_that_arrives_when_the_server_ends_is_closed_and_one_being_answered_is_answered(serve: Serve) -> None:
    served = serve()
    with served.connect() as arriving, served.connect() as asked:
        arriving.sendall(b"GET /a")
        asked.sendall(SLOW + GET)
        assert served.application.slow_asked.acquire(timeout=30)
        served.application.drain.has_begun = True
        served.application.allow_slow()
        answered = received(asked)
        assert answered.count(b"HTTP/1.1 ") == 1
        assert b"connection: close\r\n" in answered
