"""A rate is that of the whole server, however many processes it has."""

from __future__ import annotations

import re

import httpx
import pytest

from tests.serving import serve_in_process

ALLOWED = 30


@pytest.mark.long
def test_front_ends_of_a_host_count_one_caller_together(sqlite_database: str) -> None:
    server = serve_in_process(sqlite_database, "--workers", "3", "--platform", "none", "--rate", f"address={ALLOWED}/h")
    # Each request is a connection of its own, so that it reaches any process of the server.
    answers = [httpx.get(f"{server.address}/products") for _ in range(2 * ALLOWED)]
    assert [each.status_code for each in answers] == [200] * ALLOWED + [429] * ALLOWED
    left = [int(re.findall(r"r=(\d+)", each.headers["ratelimit"])[0]) for each in answers[:ALLOWED]]
    assert left == list(reversed(range(ALLOWED)))
    assert server.interrupt()[0] == 0
