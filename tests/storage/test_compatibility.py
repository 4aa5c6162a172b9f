"""The database says which versions may use it: at the start, and on PostgreSQL while a server runs."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from time import monotonic
from unittest.mock import Mock

import httpx
import pytest

from jangteo.core.health import CheckWritable
from jangteo.engine.batch import Failed, Submission, commit
from jangteo.storage import migrations
from jangteo.storage.errors import CannotOpen, TooOld
from jangteo.storage.postgres import compatibility
from jangteo.storage.urls import open_storage
from tests.cli.test_postgres import run
from tests.serving import Http, serve_in_process
from tests.storage.damage import damage
from tests.storage.shops import OPENED, Shop

NEWER = "jangteo_9999"
MIGRATED = f"UPDATE jangteo_version SET version_num = '{NEWER}'"
CONTRACTED = f"UPDATE compatibility SET oldest_revision = '{NEWER}'"
OURS = migrations.newest()
ADMITTED = f"UPDATE compatibility SET oldest_revision = '{OURS}'"


def test_a_newer_schema_that_admits_this_version_is_used_and_named(database: str) -> None:
    damage(database, MIGRATED)
    with closing(open_storage(database)) as storage:
        for lines in (storage.prepare(), storage.check(writes=True)):
            (line,) = lines
            assert f"newer schema ({NEWER}) than this version of Jangteo ({OURS}), which may still use it" in line
    with closing(Shop(database)) as shop:
        shop.set_up()
        assert shop.order() == [1]
        assert shop.rows("SELECT version_num FROM jangteo_version") == [(NEWER,)]


def test_a_command_says_so_on_standard_error(database: str) -> None:
    damage(database, MIGRATED)
    ran = run("events", "status", "--json", "--database", database)
    assert ran.returncode == 0
    assert json.loads(ran.stdout)["waiting"] == 0
    assert ran.stderr.count("\n") == 1
    assert NEWER in ran.stderr


def test_a_newer_schema_is_not_copied(database: str) -> None:
    damage(database, MIGRATED)
    with pytest.raises(CannotOpen, match="newer schema"):
        open_storage(database).take()


def test_a_database_that_needs_a_newer_version_is_refused_at_the_start(database: str) -> None:
    damage(database, MIGRATED)
    damage(database, CONTRACTED)
    refusal = f"newer schema .{NEWER}. .*upgrade Jangteo"
    # SQLite's file is looked at before anything is opened.
    with pytest.raises(CannotOpen, match=refusal):
        open_storage(database).prepare()
    with pytest.raises(CannotOpen, match=refusal):
        open_storage(database).check()


def test_a_connection_notices_that_its_version_is_too_old_and_logs_that_once(
    postgres_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Mock()
    monkeypatch.setattr(compatibility, "log", log)
    monkeypatch.setattr(compatibility, "CHECK_EVERY_S", 0.0)
    with closing(open_storage(postgres_database).connect()) as connection:
        check = [Submission(CheckWritable())]
        assert not isinstance(commit(connection, check, lambda: OPENED).outcomes[0], Failed)
        damage(postgres_database, CONTRACTED)
        for _ in range(3):
            (refused,) = commit(connection, check, lambda: OPENED).outcomes
            assert isinstance(refused, Failed)
            assert f"needs {NEWER} or newer: upgrade Jangteo" in refused.reason
            with pytest.raises(TooOld), connection.snapshot(OPENED):
                pass
        assert [call.args for call in log.error.call_args_list] == [("version too old",)]
        damage(postgres_database, ADMITTED)
        assert not isinstance(commit(connection, check, lambda: OPENED).outcomes[0], Failed)


def test_the_database_is_not_asked_with_every_batch(postgres_database: str) -> None:
    with closing(Shop(postgres_database)) as shop:
        shop.set_up()
        damage(postgres_database, CONTRACTED)
        # Within two seconds of the last check.
        assert shop.order() == [1]


def test_a_running_server_that_is_too_old_is_not_ready_and_logs_one_line(
    postgres_database: str, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    server = serve_in_process(postgres_database, "--platform", f"file:{tmp_path / 'events.jsonl'}", log=log)
    with Http(base_url=server.address, timeout=30) as http:
        user = http.user()
        assert http.get("/health/ready").status_code == 200
        damage(postgres_database, CONTRACTED)
        wait_until_ready_is(http, 503)
        refused = [http.post(f"/users/{user}/balance", json={"amount": 1}) for _ in range(5)]
        assert {answer.status_code for answer in refused} == {503}
        assert http.get("/health/live").status_code == 200
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        assert [line["event"] for line in lines if line["level"] == "error"] == ["version too old"]
        assert {line["event"] for line in lines} <= {"version too old", "lease request failed", "data in danger"}
        damage(postgres_database, ADMITTED)
        wait_until_ready_is(http, 200)
    assert server.interrupt()[0] == 0


def wait_until_ready_is(http: httpx.Client, status: int) -> None:
    deadline = monotonic() + 30
    while http.get("/health/ready").status_code != status:
        assert monotonic() < deadline


def test_a_schema_without_a_shop_is_named_by_a_running_connection(postgres_database: str) -> None:
    with closing(open_storage(postgres_database).connect()) as connection:
        damage(postgres_database, "CREATE SCHEMA jangteo")
        (failed,) = commit(connection, [Submission(CheckWritable())], lambda: OPENED).outcomes
    assert isinstance(failed, Failed)
    assert "schema holds no shop" in failed.reason
