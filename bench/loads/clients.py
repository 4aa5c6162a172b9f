"""Clients that are counted one by one: each has a connection, and sends its next request when the last is answered.

wrk is faster and loads everything else; it can't say which client had which answers.
"""

import asyncio
import json
import random
import re
from collections.abc import Callable, Iterator
from functools import partial
from time import perf_counter
from typing import Final, cast
from urllib.parse import urlsplit

import uvloop

from bench.loads.load import CannotMeasure, Load, fairness_of, load_of

USERS: Final = 10_000
PRODUCTS: Final = 1_000
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_STATUS: Final = slice(9, 12)
"""Where the status is in `HTTP/1.1 201`."""

Request = bytes
Requests = Iterator[Request]
Answered = Callable[[int, bytes], None]
"""Is given the status and the body of each answer."""


class Client(asyncio.Protocol):
    """One connection. It ends when its requests do, when it is closed, and when the server closes it."""

    def __init__(self, requests: Requests, answered: Answered | None) -> None:
        self.times_ms: list[float] = []
        self.failed = 0
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._requests = requests
        self._answered = answered
        self._received = b""
        self._sent_at = 0.0
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection; `send` begins."""
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = cast(asyncio.WriteTransport, transport)

    def connection_lost(self, _: Exception | None) -> None:
        """End."""
        if not self.ended.done():
            self.ended.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Count an answer once it is complete, and send the next request."""
        self._received += data
        head, found, rest = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not found or (length is not None and len(rest) < int(length[1])):
            return
        self._received = b""
        self._count(int(head[_STATUS]), rest)
        self.send()

    def send(self) -> None:
        """Send the next request, or close when there is none."""
        assert self._transport is not None
        request = next(self._requests, None)
        if request is None:
            self._transport.close()
        else:
            self._sent_at = perf_counter()
            self._transport.write(request)

    def close(self) -> None:
        """Close the connection; the request on its way isn't counted."""
        if self._transport is not None:
            self._transport.abort()

    def _count(self, status: int, body: bytes) -> None:
        if status < 400:
            self.times_ms.append((perf_counter() - self._sent_at) * 1_000)
        else:
            self.failed += 1
        if self._answered is not None:
            self._answered(status, body)


def load(address: str, clients: int, seconds: float) -> Load:
    """Have so many clients order any products, and judge how evenly they were served. Raises CannotMeasure."""
    made = run(address, [orders(address, number) for number in range(clients)], seconds)
    answers = load_of([time for each in made for time in each.times_ms], seconds)
    fairness = fairness_of([len(each.times_ms) for each in made])
    return answers._replace(failed=sum(each.failed for each in made), fairness=fairness)


def run(address: str, requests: list[Requests], seconds: float, answered: Answered | None = None) -> list[Client]:
    """Connect one client for each sequence of requests, begin at once, and end all after so many seconds.

    Raises CannotMeasure when a client can't connect.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(address, requests, seconds, answered))


async def _run(address: str, requests: list[Requests], seconds: float, answered: Answered | None) -> list[Client]:
    loop, url = asyncio.get_running_loop(), urlsplit(address)
    host, port = url.hostname or "", url.port or 80
    clients: list[Client] = []
    try:
        for each in requests:
            _, client = await loop.create_connection(partial(Client, each, answered), host, port)
            clients.append(client)
        for client in clients:
            client.send()
        await asyncio.wait([client.ended for client in clients], timeout=seconds)
    except OSError as error:
        raise CannotMeasure(f"{address} does not accept {len(requests)} clients: {error}") from error
    finally:
        for client in clients:
            client.close()
    return clients


def orders(address: str, seed: int) -> Requests:
    """Endless orders of two items, by random users, of two random products."""
    chosen = random.Random(seed)
    while True:
        first, second = chosen.sample(range(1, PRODUCTS + 1), 2)
        yield order(address, chosen.randint(1, USERS), (first, 1), (second, 2))


def order(address: str, user: int, *items: tuple[int, int]) -> Request:
    """One order; an item is a product and a quantity."""
    return post(
        address,
        "/orders",
        {"userId": user, "items": [{"productId": product, "quantity": quantity} for product, quantity in items]},
    )


def post(address: str, path: str, body: object) -> Request:
    """The bytes of one POST of JSON."""
    content = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {urlsplit(address).netloc}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content
