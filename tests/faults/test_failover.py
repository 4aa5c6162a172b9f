"""A standby takes over under load: a planned switchover is no error for any client, a frozen primary loses nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from uuid import uuid4

import pytest

from tests.faults.customers import Customers, wait_until_published
from tests.postgres import Server, Standby, running_server
from tests.serving import ServerProcess, audit, serve_in_process

FLOWS_AGAIN_S = 5


@pytest.fixture
def cluster() -> Iterator[tuple[Server, Standby]]:
    """A primary and its synchronous standby."""
    with running_server(synchronous_standby_names="standby") as primary:
        standby = Standby(primary, "standby")
        standby.start()
        try:
            yield primary, standby
        finally:
            primary.thaw()
            standby.remove()


def serve_two(primary: Server, standby: Standby, tmp_path: Path) -> tuple[str, list[ServerProcess]]:
    """A new shop's URL with both hosts, and two servers of it."""
    name = f"shop_{uuid4().hex}"
    url = primary.create(name).replace(f":{primary.port}/", f":{primary.port},127.0.0.1:{standby.port}/")
    options = ("--platform", f"file:{tmp_path / 'events'}", "--database-timeout", "3")
    return url, [serve_in_process(url, *options) for _ in range(2)]


@pytest.mark.long
def test_a_planned_switchover_shows_no_client_an_error(cluster: tuple[Server, Standby], tmp_path: Path) -> None:
    primary, standby = cluster
    url, servers = serve_two(primary, standby, tmp_path)
    customers = Customers([server.address for server in servers], with_keys=12, without_keys=12)

    async def play() -> None:
        async with customers.shopping():
            await customers.more_answers(200)
            await asyncio.to_thread(primary.stop)
            await asyncio.to_thread(standby.promote)
            await customers.more_answers(200)

    asyncio.run(play())
    assert {status for _, status in customers.responses} == {200, 201}
    check(url, servers, customers, tmp_path)


@pytest.mark.long
def test_orders_flow_soon_after_a_frozen_primary_was_replaced(cluster: tuple[Server, Standby], tmp_path: Path) -> None:
    primary, standby = cluster
    url, servers = serve_two(primary, standby, tmp_path)
    customers = Customers([server.address for server in servers], with_keys=24, without_keys=12)

    async def play() -> float:
        async with customers.shopping():
            await customers.more_answers(200)
            primary.freeze()
            # The servers give up their connections, and refuse what has waited too long.
            await customers.refusals(40)
            await asyncio.to_thread(standby.promote)
            promoted_at = monotonic()
            await customers.successes(1)
            took_s = monotonic() - promoted_at
            await customers.successes(100)
            primary.thaw()
            await customers.successes(100)
            # What manages a cluster ends a primary that was replaced.
            primary.kill()
        return took_s

    assert asyncio.run(play()) < FLOWS_AGAIN_S
    check(url, servers, customers, tmp_path)


def check(url: str, servers: list[ServerProcess], customers: Customers, tmp_path: Path) -> None:
    """Every answer still holds, each order has its event, and the books are right."""
    wait_until_published([tmp_path / "events"], customers.orders)
    for server in servers:
        customers.check_balances_and_orders(server.address)
        assert server.interrupt()[0] == 0
    audited = audit(url)
    assert audited.returncode == 0, audited.stdout + audited.stderr
