"""Under load, the platform dies, hangs, fails and cuts connections at random, and servers are killed: in the end it has
every event of every order, and each order's events in order.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest

from jangteo.storage.event_queries import read_state
from jangteo.storage.urls import open_storage
from tests.faults.customers import local_id
from tests.receiving import RunningReceiver, running_receiver
from tests.serving import Http, ServerProcess, audit, serve_in_process

ROUNDS = 20
BUYERS = 12
CANCELS_EVERY = 4
SECRET = "whsec_" + b64encode(b"jangteo" * 4).decode()
PROGRESS_WITHIN_S = 60


class Buyers:
    """Clients that order and cancel at any server, and go on after errors."""

    def __init__(self, servers: list[ServerProcess]) -> None:
        self._servers = servers
        self._answers = 0
        self._more = asyncio.Condition()
        self._closing = False

    @asynccontextmanager
    async def shopping(self) -> AsyncIterator[None]:
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(timeout=30, limits=limits) as client, asyncio.TaskGroup() as group:
            for number in range(BUYERS):
                group.create_task(self._shop(client, number))
            yield
            self._closing = True

    async def more_answers(self, number: int) -> None:
        async with self._more:
            wanted = self._answers + number
            await asyncio.wait_for(self._more.wait_for(lambda: self._answers >= wanted), 60)

    async def _shop(self, client: httpx.AsyncClient, number: int) -> None:
        count = 0
        while not self._closing:
            count += 1
            server = self._servers[(number + count) % len(self._servers)]
            body = {"userId": number + 1, "items": [{"productId": count % 3 + 1, "quantity": 1}]}
            made = await self._post(client, f"{server.address}/orders", body)
            if made is not None and count % CANCELS_EVERY == 0:
                await self._post(client, f"{server.address}/orders/{made['orderId']}/cancel", None)

    async def _post(self, client: httpx.AsyncClient, url: str, body: Any) -> Any:
        try:
            answer = await client.post(url, json=body)
        except httpx.TransportError:
            # The server is being killed or restarted.
            await asyncio.sleep(0.01)
            return None
        assert answer.is_success or answer.status_code == 503, answer.text
        async with self._more:
            self._answers += 1
            self._more.notify_all()
        return answer.json() if answer.is_success else None


class Round:
    """One fault of the platform, in every other round together with a killed server."""

    def __init__(self, number: int, receiver: RunningReceiver, servers: list[ServerProcess]) -> None:
        self._random = Random(number)
        self._number = number
        self._receiver = receiver
        self._servers = servers

    async def play(self, buyers: Buyers, start: Callable[[], ServerProcess]) -> None:
        received_before = self._received()
        self._start_fault()
        await buyers.more_answers(self._random.randint(5, 80))
        if self._number % 2:
            # In a thread, so that the buyers go on.
            index = self._random.randrange(len(self._servers))
            await asyncio.to_thread(self._servers[index].kill)
            await asyncio.sleep(0)
            self._servers[index] = await asyncio.to_thread(start)
        await buyers.more_answers(self._random.randint(5, 80))
        await asyncio.to_thread(self._end_fault)
        async with asyncio.timeout(PROGRESS_WITHIN_S):
            while self._received() <= received_before:
                await buyers.more_answers(1)

    def _start_fault(self) -> None:
        many = self._random.randint(1, 5)
        match self._number % 5:
            case 0:
                self._receiver.kill()
            case 1:
                self._receiver.plan({"do": "hang"})
            case 2:
                self._receiver.plan(*[{"do": "answer", "status": 500}] * many)
            case 3:
                self._receiver.plan(*[{"do": "cut"}] * many)
            case _:
                self._receiver.plan(*[{"do": "vanish"}] * many)

    def _end_fault(self) -> None:
        if self._number % 5 in (0, 1):
            self._receiver.kill()
            self._receiver.start()

    def _received(self) -> int:
        return self._receiver.file.stat().st_size


@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_platform_has_every_event_after_random_faults(database: str, tmp_path: Path) -> None:
    with running_receiver(tmp_path / "received.jsonl", SECRET) as receiver:
        options = ("--platform", receiver.url, "--platform-secret", SECRET)
        # On PostgreSQL two servers: the other one takes over the relay.
        servers = [serve_in_process(database, *options) for _ in range(1 if database.startswith("sqlite") else 2)]
        with Http(base_url=servers[0].address, timeout=30) as http:
            for _ in range(BUYERS):
                http.user(balance=10**9)
            for _ in range(3):
                http.product(price=1, stock=10**6)

        async def play() -> None:
            buyers = Buyers(servers)
            async with buyers.shopping():
                for number in range(ROUNDS):
                    await Round(number, receiver, servers).play(buyers, lambda: serve_in_process(database, *options))

        asyncio.run(play())
        until_nothing_waits(database)
        for server in servers:
            assert server.interrupt()[0] == 0
        received = [local_id(event_id) for event_id in receiver.ids()]
    happened = events_of_orders(database)
    assert len(happened) > ROUNDS * 10
    assert set(received) == happened
    assert len(received) > len(happened), "no event was sent twice, so no fault interrupted anything"
    first = {event: index for index, event in reversed(list(enumerate(received)))}
    for event in happened:
        if event.endswith("-cancelled"):
            assert first[event.replace("cancelled", "paid")] < first[event], event
    audited = audit(database)
    assert audited.returncode == 0, audited.stdout


def until_nothing_waits(database: str) -> None:
    async def watch() -> None:
        with closing(open_storage(database).connect()) as connection:
            while True:
                with connection.snapshot(datetime.now(UTC)) as snapshot:
                    state = read_state(snapshot)
                if state.waiting == state.retrying == 0:
                    assert state.dead_letters == 0
                    return
                # The relay has no event to wait for.
                await asyncio.sleep(0.05)

    asyncio.run(asyncio.wait_for(watch(), 60))


def events_of_orders(database: str) -> set[str]:
    with closing(open_storage(database).connect()) as connection, connection.snapshot(datetime.now(UTC)) as snapshot:
        orders = snapshot.rows("SELECT id, status FROM orders")
    paid = {f"order-{order_id}-paid" for order_id, _ in orders}
    return paid | {f"order-{order_id}-cancelled" for order_id, status in orders if status == "cancelled"}
