"""docs/operations.md says how many connections a served shop opens; a served shop opens as many."""

from __future__ import annotations

import re
from pathlib import Path
from time import monotonic, sleep
from typing import get_args

import psycopg
import pytest

from jangteo.settings import Settings
from jangteo.storage.port import Cost
from tests.serving import Http, serve_in_process, serve_in_thread

PAGE = (Path(__file__).parents[2] / "docs/operations.md").read_text()
DEADLINE_S = 30


def connections_of(database: str) -> int:
    """The number of Jangteo's sessions in a database."""
    with psycopg.connect(database, application_name="test") as connection:
        found = connection.execute(
            "SELECT COUNT(*) FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name = 'jangteo' AND backend_type = 'client backend'"
        ).fetchone()
    assert found is not None
    return int(found[0])


def documented_connections(settings: Settings) -> int:
    found = re.search(r"^ +writers \+ readers \+ (\d+)$", PAGE, re.MULTILINE)
    assert found is not None
    return settings.writers + settings.readers + int(found[1])


@pytest.mark.parametrize("writers", [1, 2])
def test_a_served_shop_opens_as_many_connections_as_documented(
    postgres_database: str, tmp_path: Path, writers: int
) -> None:
    platform = f"file:{tmp_path / 'events.jsonl'}"
    settings = Settings(database=postgres_database, platform=platform, writer="thread", writers=writers)
    # One writer for each, one pool for each cost; short queries ("point") have as many threads as there are readers.
    expected = documented_connections(settings)
    assert expected == settings.writers + settings.readers + len(get_args(Cost)) - 1
    shop = serve_in_thread(settings)
    try:
        http = shop.http
        user, product = http.user(balance=10_000), http.product(price=1)
        deadline = monotonic() + DEADLINE_S
        while (opened := connections_of(postgres_database)) < expected:
            assert monotonic() < deadline, f"{opened} of {expected} connections"
            # Commands for each writer, an event for the relay, a query of each cost, and a new window to backfill.
            assert http.order(user, (product, 1)).status_code < 500
            for path in ("/products", f"/users/{user}/balance", "/products/top?days=7", "/products/top?method=direct"):
                assert http.get(path).status_code == 200
            sleep(0.05)
        # More requests open no more.
        for _ in range(20):
            http.order(user, (product, 1))
            http.get("/products/top?days=9")
        assert connections_of(postgres_database) == expected
    finally:
        shop.close()
    assert "which is 7 with the defaults" in PAGE


@pytest.mark.long
def test_a_host_of_several_workers_opens_as_many_connections_as_documented(
    postgres_database: str, tmp_path: Path
) -> None:
    assert "    writers + workers * (readers + 2) + 3\n" in PAGE
    workers = 2
    expected = Settings.writers + workers * (Settings.readers + 2) + 3
    options = ("--workers", str(workers), "--platform", f"file:{tmp_path / 'events.jsonl'}")
    server = serve_in_process(postgres_database, *options)
    with Http(base_url=server.address, timeout=60) as http:
        user, product = http.user(balance=10_000), http.product(price=1)
    deadline = monotonic() + 2 * DEADLINE_S
    while (opened := connections_of(postgres_database)) < expected:
        assert monotonic() < deadline, f"{opened} of {expected} connections"
        # By a new connection each time, which either front end may take.
        with Http(base_url=server.address, timeout=60) as http:
            http.order(user, (product, 1))
            for path in ("/products", f"/users/{user}/balance", "/products/top?days=7", "/products/top?method=direct"):
                http.get(path)
    assert connections_of(postgres_database) == expected
    assert server.interrupt()[0] == 0
