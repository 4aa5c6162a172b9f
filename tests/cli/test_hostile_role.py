"""A role whose defaults are all against us: every command works, since each session states the settings it needs."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from jangteo.storage.urls import open_storage
from tests.postgres import Server
from tests.serving import JANGTEO, Http, serve_in_process

NOW = datetime(2026, 11, 28, tzinfo=UTC)
ROLE = "hostile"
HOSTILE = [
    "statement_timeout = '50ms'",
    "lock_timeout = '1ms'",
    "idle_in_transaction_session_timeout = '1ms'",
    "idle_session_timeout = '1s'",
    "default_transaction_read_only = on",
    "default_transaction_isolation = 'serializable'",
    "default_transaction_deferrable = on",
    "synchronous_commit = off",
    "client_min_messages = error",
    "client_encoding = 'LATIN1'",
    "standard_conforming_strings = off",
    "transform_null_equals = on",
    "enable_indexscan = off",
    "enable_bitmapscan = off",
    "enable_indexonlyscan = off",
    "enable_hashagg = off",
    "enable_sort = off",
    "plan_cache_mode = force_custom_plan",
    "random_page_cost = 1000000",
    "cpu_tuple_cost = 1000000",
    "join_collapse_limit = 1",
    "from_collapse_limit = 1",
    "jit_above_cost = 0",
    "work_mem = '64kB'",
    "search_path = hostile, public, pg_catalog",
    "DateStyle = 'German'",
    "IntervalStyle = 'sql_standard'",
    "TimeZone = 'Asia/Pyongyang'",
    "extra_float_digits = -15",
    "bytea_output = 'escape'",
    "array_nulls = off",
    "row_security = off",
    "quote_all_identifiers = on",
    "lc_messages = 'C'",
    "xmloption = 'document'",
    "default_toast_compression = 'pglz'",
    "geqo_threshold = 2",
    "parallel_setup_cost = 0",
    "parallel_tuple_cost = 0",
    "min_parallel_table_scan_size = 0",
]


@pytest.fixture
def database(postgres: Server) -> Iterator[str]:
    postgres.run(f"CREATE ROLE {ROLE} LOGIN")
    for setting in HOSTILE:
        postgres.run(f"ALTER ROLE {ROLE} SET {setting}")
    postgres.create(ROLE)
    postgres.run(f"ALTER DATABASE {ROLE} OWNER TO {ROLE}")
    yield f"postgresql://{ROLE}@127.0.0.1:{postgres.port}/{ROLE}"
    postgres.drop(ROLE)
    postgres.run(f"DROP ROLE {ROLE}")


def run(*arguments: str) -> str:
    result = subprocess.run([JANGTEO, *arguments], capture_output=True, text=True, check=False, timeout=100)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.long
def test_a_shop_lives_with_a_hostile_role(database: str, postgres_database: str, tmp_path: Path) -> None:
    server = serve_in_process(database, "--demo", "--platform", f"file:{tmp_path / 'events.jsonl'}")
    with Http(base_url=server.address, timeout=30) as http:
        assert http.order(1, (3, 1), key="a").status_code == 201
        assert http.order(1, (3, 1), key="a").headers["idempotency-replayed"] == "true"
        best = http.get("/products/top").json()
        assert len(best) == 5
        assert http.get("/products/top?method=direct").json() == best
        assert len(http.get("/products").json()) == 16
    assert server.interrupt()[0] == 0
    assert "The books are right" in run("audit", "--database", database)
    assert "3" in run("top", "rebuild", "--days", "3", "--database", database)
    assert "waiting" in run("events", "status", "--database", database)
    with psycopg.connect(postgres_database, autocommit=True) as raw:
        raw.execute("DROP SCHEMA public CASCADE")
        raw.execute("CREATE SCHEMA public")
    run("copy", "--from", database, "--to", postgres_database)
    assert "The books are right" in run("audit", "--database", postgres_database)


STATED = {
    "statement_timeout": "3s",
    "lock_timeout": "3s",
    "synchronous_commit": "on",
    "default_transaction_read_only": "off",
    "default_transaction_isolation": "read committed",
    "idle_session_timeout": "0",
    "search_path": '"public"',
    "enable_indexscan": "on",
    "random_page_cost": "4",
    "client_min_messages": "warning",
    "standard_conforming_strings": "on",
}


def test_a_session_states_what_it_relies_on(database: str) -> None:
    open_storage(database).prepare()
    with closing(open_storage(database).connect(3)) as connection, connection.snapshot(NOW) as snapshot:
        found = {name: snapshot.rows("SELECT current_setting(:name)", name=name)[0][0] for name in STATED}
    assert found == STATED
