"""One of several servers of one shop is killed under load: the others go on, and nothing it has answered is missing."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from time import monotonic

from tests.faults.customers import Customers, told, until_told
from tests.serving import audit, serve_in_process

TAKEN_OVER_WITHIN_S = 10


def test_the_others_go_on_and_tell_the_platform(postgres_database: str, tmp_path: Path) -> None:
    # A file for each, as on hosts of their own: so it is seen who tells the platform.
    files = [tmp_path / f"events-{number}.jsonl" for number in range(3)]
    servers = [serve_in_process(postgres_database, "--platform", f"file:{file}") for file in files]
    customers = Customers([server.address for server in servers], with_keys=24, without_keys=6)

    async def play() -> float:
        async with customers.shopping():
            await customers.more_answers(300)
            while not told(files):
                await customers.more_answers(1)
            (telling,) = (file for file in files if told([file]))
            # The one whose turn it is to tell the platform, so that another must take over.
            place = files.index(telling)
            killed = servers.pop(place)
            files.append(files.pop(place))
            # Held up first, so that something is on its way to it for sure when it is killed.
            killed.process.send_signal(signal.SIGSTOP)
            # What it has answered before is read while the others answer; what is under way then stays so.
            await customers.more_answers(50)
            await customers.under_way(killed.address, 4)
            # From a thread, so that the customers go on meanwhile.
            await asyncio.to_thread(killed.kill)
            killed_at = monotonic()
            await customers.more_answers(300)
        return killed_at

    killed_at = asyncio.run(play())
    until_told(files, customers.orders)
    assert monotonic() - killed_at < TAKEN_OVER_WITHIN_S
    *others, _ = files
    assert told(others), "nobody has taken over"
    assert customers.repeated > 0, "nothing was on its way to the server that was killed"
    # Whoever wasn't killed has answered everything, and with success.
    statuses = {(address, status) for address, status in customers.heard if address in {s.address for s in servers}}
    assert statuses == {(server.address, status) for server in servers for status in (200, 201)}
    for server in servers:
        customers.found_right(server.address)
        assert server.interrupt()[0] == 0
    audited = audit(postgres_database)
    assert audited.returncode == 0, audited.stdout
