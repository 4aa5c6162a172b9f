"""One of several servers of a shop is killed under load: the others go on, and nothing it acknowledged is lost."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from time import monotonic

from tests.faults.customers import Customers, published_ids, wait_until_published
from tests.serving import audit, serve_in_process

TAKEOVER_TIMEOUT_S = 10


def test_the_other_servers_take_over_the_relay(postgres_database: str, tmp_path: Path) -> None:
    # Each server has its own file, as on its own host, which shows who publishes.
    files = [tmp_path / f"events-{number}.jsonl" for number in range(3)]
    servers = [serve_in_process(postgres_database, "--platform", f"file:{file}") for file in files]
    customers = Customers([server.address for server in servers], with_keys=24, without_keys=6)

    async def play() -> float:
        async with customers.shopping():
            await customers.more_answers(300)
            while not published_ids(files):
                await customers.more_answers(1)
            (leaders_file,) = (file for file in files if published_ids([file]))
            # Kills the leader, so that another server must take over the lease.
            leader = files.index(leaders_file)
            killed = servers.pop(leader)
            files.append(files.pop(leader))
            # Stopped first, so that requests are surely in flight when it is killed.
            killed.process.send_signal(signal.SIGSTOP)
            # While the others answer, clients read what it answered before; the rest stays in flight.
            await customers.more_answers(50)
            await customers.in_flight(killed.address, 4)
            # In a thread, so that the customers go on.
            await asyncio.to_thread(killed.kill)
            killed_at = monotonic()
            await customers.more_answers(300)
        return killed_at

    killed_at = asyncio.run(play())
    wait_until_published(files, customers.orders)
    assert monotonic() - killed_at < TAKEOVER_TIMEOUT_S
    *others, _ = files
    assert published_ids(others), "no server took over the lease"
    assert customers.repeated > 0, "no request was in flight to the killed server"
    # The other servers answered every request with success.
    statuses = {(address, status) for address, status in customers.responses if address in {s.address for s in servers}}
    assert statuses == {(server.address, status) for server in servers for status in (200, 201)}
    for server in servers:
        customers.check_balances_and_orders(server.address)
        assert server.interrupt()[0] == 0
    audited = audit(postgres_database)
    assert audited.returncode == 0, audited.stdout
