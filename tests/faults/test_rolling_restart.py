"""Two servers behind HAProxy are restarted one after the other under load, and no request fails."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.documents.markdown import ROOT
from tests.faults.customers import Customers
from tests.faults.test_workers import wait_until
from tests.haproxy import haproxy_program, running_haproxy
from tests.serving import ServerProcess, audit, serve_in_process

CHECKED_EVERY_MS = 500
FALL = 3
DRAIN_S = 5
"""The balancer takes a server out within 1.5 s; the rest is for a busy machine."""


@pytest.mark.long
def test_a_rolling_restart_shows_no_error(postgres_database: str, tmp_path: Path) -> None:
    platform = ("--platform", f"file:{tmp_path / 'events.jsonl'}")

    def serve(port: int = 0) -> ServerProcess:
        return serve_in_process(postgres_database, *platform, "--drain", str(DRAIN_S), "--port", str(port))

    servers = {"one": serve(), "two": serve()}
    ports = {name: int(server.address.rpartition(":")[2]) for name, server in servers.items()}

    def restart(name: str) -> None:
        servers[name].process.send_signal(signal.SIGTERM)
        assert servers[name].wait()[0] == 0
        assert proxy.statuses()[name] == "DOWN"
        servers[name] = serve(ports[name])
        wait_until(lambda: proxy.statuses()[name] == "UP")

    with running_haproxy(ports, interval_ms=CHECKED_EVERY_MS, fall=FALL) as proxy:
        customers = Customers([proxy.address], with_keys=4, without_keys=4)

        async def scenario() -> None:
            async with customers.shopping():
                for name in servers:
                    await customers.more_answers(50)
                    await asyncio.to_thread(restart, name)
                await customers.more_answers(50)

        asyncio.run(scenario())
        customers.check_balances_and_orders(proxy.address)
    assert sum(customers.responses.values()) == customers.requests
    assert {status for _, status in customers.responses} == {200, 201}
    for server in servers.values():
        assert server.interrupt()[0] == 0
    assert audit(postgres_database).returncode == 0


def test_the_documented_configuration_is_valid_and_the_drain_longer_than_its_checks(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    section = page.partition("### Restarting servers one after the other")[2]
    (configuration,) = re.findall(r"^```\n(defaults\n.*?)^```", section, re.MULTILINE | re.DOTALL)
    found = re.search(r"inter (\d+)s fall (\d+).*`--drain (\d+)`", section, re.DOTALL)
    assert found is not None
    interval_s, fall, drain_s = map(int, found.groups())
    assert drain_s > interval_s * fall
    path = tmp_path / "haproxy.cfg"
    path.write_text(configuration)
    checked = subprocess.run([haproxy_program(), "-c", "-f", path], capture_output=True, text=True, check=False)
    assert (checked.returncode, "WARNING" in checked.stderr) == (0, False), checked.stderr
