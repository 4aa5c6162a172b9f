"""Measures the delivery of events: the delay, the rate with a backlog, and the cost of a dead platform."""

import asyncio
import math
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Final, NamedTuple

import aiohttp

from bench.contenders import shops
from bench.contenders.rounds import Contender
from bench.contenders.servers import environment
from bench.loads.load import CannotMeasure, Load, load_of
from jangteo.app import system_clock
from jangteo.storage.urls import open_storage
from tests.nats_server import running_nats
from tests.receiving import running_receiver

ORDERS_A_SECOND: Final = 1_000
_CONNECTIONS: Final = 32
_SUBJECT: Final = "jangteo.orders"
_SECRET: Final = "whsec_" + b64encode(b"jangteo" * 4).decode()
_SENT_WITHIN_S: Final = 120
_POLL_INTERVAL_S: Final = 0.1
DEAD: Final = "http://127.0.0.1:1/events"
"""An address where nothing listens."""


class Platform(NamedTuple):
    """A platform: its name in the tables, and the shop's options for it."""

    name: str
    options: tuple[str, ...]


@contextmanager
def platforms(folder: Path) -> Iterator[Sequence[Platform]]:
    """A file, a webhook receiver that verifies signatures, and a NATS server with a stream."""
    with running_receiver(folder / "received.jsonl", _SECRET) as receiver, running_nats(folder / "nats") as nats:
        # The next round sends the same events again, and the stream must not drop them as duplicates.
        nats.create_stream(_SUBJECT, duplicate_window=0.1, max_msgs=100_000, discard="old")
        yield (
            Platform("a file", ("--platform", f"file:{folder / 'sent.jsonl'}")),
            Platform("HTTP, signed", ("--platform", receiver.url, "--platform-secret", _SECRET)),
            Platform("NATS", ("--platform", nats.url(_SUBJECT))),
        )


def waiting_events(database: str, platform: Platform) -> Contender:
    """A separate relay, and a shop whose events are all waiting."""

    def run(_: int) -> Load:
        with closing(open_storage(database).connect()) as connection:
            with connection.transaction() as session:
                session.run("UPDATE event_batches SET sent_at = NULL")
            with _relaying(database, platform):
                end = monotonic() + _SENT_WITHIN_S
                while _waiting(database):
                    if monotonic() > end:
                        raise CannotMeasure(f"the events for {platform.name} were not sent in {_SENT_WITHIN_S} s")
                    sleep(_POLL_INTERVAL_S)
            with connection.snapshot(system_clock()) as snapshot:
                ((first, last),) = snapshot.rows("SELECT MIN(sent_at), MAX(sent_at) FROM event_batches")
                # The first batch only starts the clock.
                ((sent,),) = snapshot.rows(
                    """
                    SELECT COUNT(*) FROM event_batches CROSS JOIN outbox WHERE sent_at > :first
                        AND outbox.id BETWEEN first_event AND last_event AND outbox.event_batch_id = event_batches.id
                    """,
                    first=first,
                )
        return Load(sent, sent / ((last - first) / 1_000_000), math.nan, math.nan, 0)

    return Contender(f"events to {platform.name}", 1, run, warms_up=False)


def delays(name: str, database: str, address: str) -> Contender:
    """Orders at a constant rate, and the delay from each decision until its event was marked as sent."""

    def run(seconds: int) -> Load:
        before = system_clock()
        asyncio.run(_order_evenly(address, seconds))
        end = monotonic() + _SENT_WITHIN_S
        while _waiting(database):
            if monotonic() > end:
                raise CannotMeasure(f"the events for {name} were not sent in {_SENT_WITHIN_S} s")
            sleep(_POLL_INTERVAL_S)
        return load_of(_delays_ms(database, before.timestamp()), seconds)

    return Contender(name, _CONNECTIONS, run)


async def _order_evenly(address: str, seconds: int) -> None:
    loop = asyncio.get_running_loop()
    started_at = loop.time()
    numbers = iter(range(seconds * ORDERS_A_SECOND))

    async def buy(session: aiohttp.ClientSession) -> None:
        for number in numbers:
            await asyncio.sleep(started_at + number / ORDERS_A_SECOND - loop.time())
            items = [{"productId": (number + each) % shops.PRODUCTS + 1, "quantity": 1 + each} for each in (0, 1)]
            body = {"userId": number % shops.BUYERS + 1, "items": items}
            async with session.post(f"{address}/orders", json=body) as response:
                if response.status != 201:
                    raise CannotMeasure(f"an order was answered with {response.status}")

    connector = aiohttp.TCPConnector(limit=_CONNECTIONS)
    async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as group:
        for _ in range(_CONNECTIONS):
            group.create_task(buy(session))


def _delays_ms(database: str, since_s: float) -> list[float]:
    """Of each later event: from its batch's timestamp, before the commit, until it was marked as sent."""
    with closing(open_storage(database).connect()) as connection, connection.snapshot(system_clock()) as snapshot:
        rows = snapshot.rows(
            """
            SELECT event_batches.sent_at - event_batches.created_at FROM event_batches CROSS JOIN outbox
            WHERE created_at > :since
                AND outbox.id BETWEEN first_event AND last_event AND outbox.event_batch_id = event_batches.id
            """,
            since=int(since_s * 1_000_000),
        )
    return [delay / 1_000 for (delay,) in rows]


def _waiting(database: str) -> bool:
    with closing(open_storage(database).connect()) as connection, connection.snapshot(system_clock()) as snapshot:
        return bool(snapshot.rows("SELECT 1 FROM event_batches WHERE sent_at IS NULL LIMIT 1"))


@contextmanager
def _relaying(database: str, platform: Platform) -> Iterator[None]:
    command = [sys.executable, "-m", "jangteo", "relay", "--database", database, *platform.options]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment()) as relay:
        try:
            yield
        finally:
            relay.terminate()
