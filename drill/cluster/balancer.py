"""HAProxy in front of the servers: a check every three seconds, no retries.

A server that can sell again is noticed within a second, so that the time without answers is not the balancer's.
"""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import aiohttp

from drill.packages import program
from drill.programs import Program, free_port

CHECK_INTERVAL_S: Final = 3
FALL: Final = 3
"""Checks that fail before a server gets no more requests; HAProxy's default."""
_CONFIGURATION: Final = """\
global
    maxconn 2000
defaults
    mode http
    timeout connect 5s
    timeout client 120s
    timeout server 120s
    retries 0
frontend shop
    bind 127.0.0.1:{port}
    default_backend servers
backend servers
    balance roundrobin
    option httpchk GET /health/ready
    default-server check inter {interval}s fall {fall} downinter 1s rise 1
{servers}
frontend statistics
    bind 127.0.0.1:{statistics_port}
    stats enable
    stats uri /
"""


class Balancer:
    """The balancer of these servers, by name and port."""

    def __init__(self, folder: Path, servers: Sequence[tuple[str, int]]) -> None:
        port, statistics_port = free_port(), free_port()
        self.address = f"http://127.0.0.1:{port}"
        self._statistics = f"http://127.0.0.1:{statistics_port}/;csv"
        configuration = folder / "haproxy.cfg"
        self.program = Program(folder, [program("haproxy"), "-db", "-f", str(configuration)])
        lines = "\n".join(f"    server {name} 127.0.0.1:{server_port}" for name, server_port in servers)
        configuration.write_text(
            _CONFIGURATION.format(
                port=port, statistics_port=statistics_port, servers=lines, interval=CHECK_INTERVAL_S, fall=FALL
            )
        )

    async def uses(self, name: str, session: aiohttp.ClientSession) -> bool:
        """Whether it sends requests to this server."""
        try:
            async with session.get(self._statistics) as answer:
                rows = csv.DictReader((await answer.text()).removeprefix("# ").splitlines())
        except aiohttp.ClientError:
            return False
        return any(row["svname"] == name and row["status"] == "UP" for row in rows)
