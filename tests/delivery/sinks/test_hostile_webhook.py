"""The HTTP platform as an attacker: answers without end, texts that act on a terminal, and echoed secrets."""

from __future__ import annotations

import asyncio
import base64
import html
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
import uvloop

from jangteo.delivery.sinks.base import PlatformUnavailable
from jangteo.delivery.sinks.bounded_responses import RESPONSE_MAX_BYTES
from jangteo.delivery.sinks.http_responses import HttpResponse
from jangteo.delivery.sinks.platforms import open_sink
from tests.sent_events import closed_after, event

KEY = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PASSWORD = "p@ss/w0rd!"
Answer = Callable[[bytes], Iterator[bytes]]


@contextmanager
def answering(answer: Answer) -> Iterator[tuple[int, list[int]]]:
    """A platform that answers each request with pieces; yields its port and the number of bytes sent."""
    sent = [0]
    with socket.create_server(("127.0.0.1", 0)) as server:

        def speak() -> None:
            while True:
                connection, _ = server.accept()
                with connection, suppress(OSError):
                    while request := request_from(connection):
                        for piece in answer(request):
                            connection.sendall(piece)
                            sent[0] += len(piece)

        def speak_until_closed() -> None:
            with suppress(OSError):
                speak()

        threading.Thread(target=speak_until_closed, daemon=True).start()
        yield server.getsockname()[1], sent
        server.shutdown(socket.SHUT_RDWR)


def request_from(connection: socket.socket) -> bytes:
    """The next request, whose body is a JSON array; nothing if the connection was closed."""
    request = b""
    while not request.endswith(b"]"):
        data = connection.recv(65_536)
        if not data:
            return b""
        request += data
    return request


def reason_of(url: str, secrets: tuple[str, ...] = ()) -> str:
    """Send an event, and return why it was not taken."""

    async def send() -> str:
        async with closed_after(open_sink(url, secrets)) as sink:
            with pytest.raises(PlatformUnavailable) as error:
                await asyncio.wait_for(sink.send([event(1)]), 60)
        return str(error.value)

    return uvloop.run(send())


@pytest.mark.parametrize("piece", [b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n", b"HTTP/1.1 100\r\n\r\n"])
def test_informational_responses_without_end_are_cut_off(piece: bytes) -> None:
    def flood(_: bytes) -> Iterator[bytes]:
        while True:
            yield piece * 1_000

    with answering(flood) as (port, sent):
        assert reason_of(f"http://127.0.0.1:{port}/events") == "the response has more than 1 MiB"
        # What the kernel buffers on its way was sent as well.
        assert sent[0] < RESPONSE_MAX_BYTES + 16 * 2**20


def test_the_bound_is_one_of_each_response_of_a_connection() -> None:
    def answer(_: bytes) -> Iterator[bytes]:
        hints = b"HTTP/1.1 103 Early Hints\r\n\r\n" * (RESPONSE_MAX_BYTES // 40)
        yield hints + b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"

    async def scenario(port: int) -> None:
        async with closed_after(open_sink(f"http://127.0.0.1:{port}/events")) as sink:
            for _ in range(3):
                assert await sink.send([event(1)]) == {}

    with answering(answer) as (port, _):
        uvloop.run(asyncio.wait_for(scenario(port), 60))


def test_a_body_of_control_characters_and_binary_is_shown_escaped_and_bounded() -> None:
    body = b"\x1b[31mred\x07 \xff\xfe\x00 \xe2\x80\xaeback \xc2\x9b2J " + b"\x01" * 10_000
    described = HttpResponse(422, None, body).describe()
    assert described.startswith("HTTP 422: \\x1b[31mred\\x07 \\xff\\xfe\\x00 \\u202eback \\x9b2J \\x01\\x01")
    assert described.isprintable()
    assert len(described) <= 210


def head_of(request: bytes) -> str:
    return request.partition(b"\r\n\r\n")[0].decode()


ECHOES: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "JSON": lambda head: json.dumps({"head": head}),
    "HTML": html.escape,
    "decoded": lambda head: base64.b64decode(head.partition("Basic ")[2].split()[0]).decode(),
    "before the cut": lambda head: "x" * 160 + head.partition("uthorization: ")[2],
    "beyond what is read": lambda head: "\n" * 65_500 + head.partition("uthorization: ")[2] * 2,
}


@pytest.mark.parametrize("echo", ECHOES.values(), ids=ECHOES)
@pytest.mark.parametrize("status", [500, 401])
def test_echoed_secrets_are_hidden(status: int, echo: Callable[[str], str]) -> None:
    def answer(request: bytes) -> Iterator[bytes]:
        body = echo(head_of(request)).encode()
        yield b"HTTP/1.1 %d No\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body)

    basic = base64.b64encode(f"ann:{PASSWORD}".encode()).decode()
    with answering(answer) as (port, _):
        url = f"http://ann:p%40ss%2Fw0rd!@127.0.0.1:{port}/hooks/T0024-pathsecret?key=querysecret"
        reason = reason_of(url, (f"whsec_{KEY}",))
    assert f"HTTP {status}" in reason
    for secret in (basic[:12], basic[-12:], "p@ss", "w0rd", "w0rd!", "pathsecret", "querysecret", KEY):
        assert secret not in reason
