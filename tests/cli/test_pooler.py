"""Behind PgBouncer: a shop is served in session mode, and refused in one line in the others."""

from __future__ import annotations

import subprocess
from pathlib import Path

import psycopg
import pytest

from tests.cli.conftest import CommandResult, Jangteo
from tests.pgbouncer import running_pgbouncer
from tests.postgres import Server
from tests.serving import JANGTEO, Http, audit, serve_in_process


def through(port: int, database: str) -> str:
    """The database's URL by way of the pooler."""
    direct = psycopg.conninfo.conninfo_to_dict(database)
    return f"postgresql://{direct['user']}@127.0.0.1:{port}/{direct['dbname']}"


@pytest.mark.long
def test_a_shop_is_served_and_audited_in_session_mode(postgres: Server, postgres_database: str, tmp_path: Path) -> None:
    with running_pgbouncer(postgres, "session") as port:
        url = through(port, postgres_database)
        server = serve_in_process(url, "--platform", f"file:{tmp_path / 'events.jsonl'}")
        with Http(base_url=server.address, timeout=30) as http:
            user, product = http.user(balance=1_000), http.product(price=1, stock=100)
            # More often than it takes until statements are prepared.
            for _ in range(20):
                assert http.order(user, (product, 1)).status_code == 201
            assert http.get("/products/top").status_code == 200
        assert server.interrupt()[0] == 0
        assert audit(url).returncode == 0


SERVING = (["serve", "--port", "0"], ["relay"])
COMMANDS = (["migrate"], ["audit"], ["events", "status"], ["top", "status"])


@pytest.mark.parametrize("mode", ["transaction", "statement"])
def test_every_command_refuses_a_pooler_that_changes_backends(
    postgres: Server, postgres_database: str, mode: str, jangteo: Jangteo, tmp_path: Path
) -> None:
    with running_pgbouncer(postgres, mode) as port:
        url = through(port, postgres_database)
        for command in COMMANDS:
            jangteo(*command, "--database", url).complains("pooler in transaction (or statement) mode", "session mode")
        for command in SERVING:
            command_line = [JANGTEO, *command, "--database", url]
            served = subprocess.run(command_line, capture_output=True, text=True, check=False, timeout=60)
            CommandResult(served.returncode, served.stdout, served.stderr).complains("pooler in transaction")
        target = f"sqlite:///{tmp_path / 'copy.db'}"
        jangteo("copy", "--from", url, "--to", target).complains("pooler in transaction (or statement) mode")
