"""A real HAProxy for tests, from Debian's package: on loopback, in front of servers whose readiness it checks."""

from __future__ import annotations

import csv
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.postgres import free_port

# What docs/operations.md shows, and strict: a request that fails is not repeated.
_CONFIGURATION = """
global
    stats socket {socket}
defaults
    mode http
    retries 0
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout check 10s
frontend shop
    bind 127.0.0.1:{port}
    default_backend servers
backend servers
    option httpchk GET /health/ready
    default-server check inter {interval_ms}ms fall {fall} rise 2
{servers}
"""


class HaProxy:
    """One HAProxy. `servers` are ports on loopback by name; one that fails `fall` checks is taken out."""

    def __init__(self, servers: Mapping[str, int], *, interval_ms: int, fall: int) -> None:
        program = haproxy_program()
        self._folder = Path(tempfile.mkdtemp(prefix="jangteo-haproxy-"))
        self._socket = self._folder / "stats"
        port = free_port()
        self.address = f"http://127.0.0.1:{port}"
        configuration = self._folder / "haproxy.cfg"
        lines = "\n".join(f"    server {name} 127.0.0.1:{server_port}" for name, server_port in servers.items())
        configuration.write_text(
            _CONFIGURATION.format(socket=self._socket, port=port, interval_ms=interval_ms, fall=fall, servers=lines)
        )
        self._log = self._folder / "log"
        with self._log.open("wb") as log:
            # In the foreground: a child of the test, which ends it.
            self._process = subprocess.Popen([program, "-db", "-f", configuration], stdout=log, stderr=log)
        self._wait_until_it_runs()

    def statuses(self) -> dict[str, str]:
        """Each server's status by its name: UP, DOWN, or on the way to one of them, as in `UP 1/3`."""
        with socket.socket(socket.AF_UNIX) as stats:
            stats.connect(str(self._socket))
            stats.sendall(b"show stat\n")
            with stats.makefile("r") as answer:
                rows = [row for row in csv.DictReader(answer) if row["# pxname"] == "servers"]
        return {row["svname"]: row["status"] for row in rows if row["svname"] != "BACKEND"}

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self._folder)

    def _wait_until_it_runs(self) -> None:
        while True:
            assert self._process.poll() is None, self._log.read_text()
            with suppress(FileNotFoundError, ConnectionRefusedError):
                self.statuses()
                return


def haproxy_program() -> str:
    """The path of the program. Without it the test is skipped, and in CI it fails."""
    program = shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        reason = "HAProxy is not installed: apt-get install haproxy"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return program


@contextmanager
def running_haproxy(servers: Mapping[str, int], *, interval_ms: int, fall: int) -> Iterator[HaProxy]:
    proxy = HaProxy(servers, interval_ms=interval_ms, fall=fall)
    try:
        yield proxy
    finally:
        proxy.stop()
