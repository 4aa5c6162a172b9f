"""A server with few file descriptors goes on serving new clients, however many others hold idle connections."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.serving import Http, serve_in_process

REQUEST = b"GET /health/live HTTP/1.1\r\nHost: shop\r\n\r\n"


@pytest.mark.long
def test_idle_connections_make_room_for_new_clients(sqlite_database: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    server = serve_in_process(sqlite_database, "--platform", "none", descriptors_max=256, log=log)
    host, port = server.address.removeprefix("http://").split(":")
    with Http(base_url=server.address, timeout=30) as http, ExitStack() as idle:
        assert http.get("/health/ready").status_code == 200
        connections = []
        for _ in range(300):
            connections.append(idle.enter_context(socket.create_connection((host, int(port)), timeout=30)))
            connections[-1].sendall(REQUEST)
            assert connections[-1].recv(4_096).startswith(b"HTTP/1.1 200 ")
        # One after the other, and many at once, as after a restart of whoever calls.
        assert http.user(balance=1_000) == 1
        burst = [idle.enter_context(socket.create_connection((host, int(port)), timeout=30)) for _ in range(50)]
        for each in burst:
            each.sendall(REQUEST)
        answered = sum(each.recv(4_096).startswith(b"HTTP/1.1 200 ") for each in burst)
        with Http(base_url=server.address, timeout=30) as another:
            assert another.get("/users/1/balance").json() == {"balance": 1_000}
    assert answered == 50
    assert server.interrupt()[0] == 0
    assert "Traceback" not in log.read_text()
    assert "Too many open files" not in log.read_text()
