"""A key that is revoked anywhere is refused by every process of every server within a second."""

from __future__ import annotations

import re
from time import monotonic, sleep

import httpx
import pytest

from jangteo.core.keys import RevokeKey
from tests.api.access.callers import bearer, do, key
from tests.serving import serve_in_process

WITHIN_S = 1.0


@pytest.mark.long
def test_a_revoked_key_is_refused_by_all_front_ends_of_a_host_within_a_second(sqlite_database: str) -> None:
    refused_within_a_second(sqlite_database, ("--workers", "3"))


@pytest.mark.long
def test_a_revoked_key_is_refused_by_three_processes_within_a_second(postgres_database: str) -> None:
    refused_within_a_second(postgres_database, (), ("--workers", "2"))


def refused_within_a_second(database: str, *servers_options: tuple[str, ...]) -> None:
    """Check that servers with these options refuse a key, a second after it was revoked beside them."""
    servers = [
        serve_in_process(database, "--access", "keys", "--platform", "none", *options) for options in servers_options
    ]
    credential = key(database, "read", "keys")
    number = int(re.findall("jt_([0-9]+)_", credential)[0])
    # Each request is a connection of its own, so that it reaches any process of its server.
    paths = [f"{server.address}/keys" for server in servers]
    for path in paths * 10:
        assert httpx.get(path, headers=bearer(credential)).status_code == 200
    do(database, RevokeKey(number))
    revoked_at, last_admitted_at, refused = monotonic(), 0.0, 0
    while monotonic() < revoked_at + 2 * WITHIN_S:
        for path in paths:
            asked_at = monotonic()
            if httpx.get(path, headers=bearer(credential)).status_code == 200:
                last_admitted_at = asked_at
            else:
                refused += 1
        sleep(0.01)
    assert last_admitted_at < revoked_at + WITHIN_S
    assert refused > 10
    for server in servers:
        assert server.interrupt()[0] == 0
