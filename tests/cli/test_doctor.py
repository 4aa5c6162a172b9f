"""`jangteo doctor`: one line for each check, and an exit code that says whether data is in danger."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest

from jangteo.storage.sqlite import examination as sqlite_examination
from tests.cli.conftest import CommandResult, Jangteo
from tests.postgres import Server
from tests.serving import JANGTEO


@pytest.fixture
def checked(jangteo: Jangteo, tmp_path: Path) -> Any:
    """Examine a database with a recent backup; returns the exit code, and the diagnoses by subject."""
    (tmp_path / "backups").mkdir()
    (tmp_path / "backups" / "shop.db").write_text("rows")

    def check(database: str) -> tuple[int, dict[str, Any]]:
        result = jangteo(*command(database, tmp_path), "--json")
        checks = msgspec.json.decode(result.out)["checks"]
        return result.code, {each["subject"]: each for each in checks}

    return check


def command(database: str, tmp_path: Path) -> list[str]:
    platform = f"file:{tmp_path / 'events.jsonl'}"
    return ["doctor", "--database", database, "--platform", platform, "--backups", str(tmp_path / "backups")]


def test_a_healthy_shop_on_sqlite(
    sqlite_database: str, checked: Any, jangteo: Jangteo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Tests may run on a disk in memory.
    monkeypatch.setattr(sqlite_examination, "file_system_of", lambda *_: "ext4")
    code, found = checked(sqlite_database)
    assert code == 0
    assert {"version", "file system", "free disk", "schema", "commit", "platform", "backups"} <= set(found)
    assert found["commit"]["severity"] == "ok"
    result = jangteo(*command(sqlite_database, tmp_path))
    assert (result.code, result.err) == (0, "")
    assert [line[:7].strip() for line in result.out.splitlines()].count("ok") >= 6
    assert "\x1b" not in result.out


def test_a_danger_is_exit_code_1(postgres_database: str, jangteo: Jangteo, checked: Any, tmp_path: Path) -> None:
    code, found = checked(postgres_database)
    assert code == 1
    # The tests' server runs without fsync; nothing else endangers it.
    assert [name for name, each in found.items() if each["severity"] == "danger"] == ["fsync"]
    assert {"clock", "standbys", "pooler", "sequences", "free disk", "schema", "commit"} <= set(found)
    assert "\nDANGER fsync               off" in jangteo(*command(postgres_database, tmp_path)).out


def test_a_sequence_behind_its_table_is_a_danger(postgres_database: str, checked: Any) -> None:
    with psycopg.connect(postgres_database) as raw:
        raw.execute("INSERT INTO users (id, balance, created_at) VALUES (7, 0, 0)")
    _, found = checked(postgres_database)
    assert (found["sequences"]["severity"], "users" in found["sequences"]["found"]) == ("danger", True)


def test_a_clock_that_differs_by_more_than_a_second_is_a_danger(
    postgres_database: str, checked: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time
    for ahead_s, severity in ((0.5, "ok"), (60, "danger"), (-60, "danger")):
        monkeypatch.setattr(time, "time", lambda ahead_s=ahead_s: now() + ahead_s)
        assert checked(postgres_database)[1]["clock"]["severity"] == severity


def test_a_database_that_cannot_be_used_is_exit_code_2_after_all_other_checks(
    checked: Any, jangteo: Jangteo, tmp_path: Path
) -> None:
    code, found = checked(f"sqlite:///{tmp_path / 'nowhere.db'}")
    assert (code, found["database"]["severity"], found["backups"]["severity"]) == (2, "danger", "ok")
    result = jangteo(*command("postgresql://shop@127.0.0.1:1/shop", tmp_path))
    assert "DANGER database" in result.out
    CommandResult(result.code, "", result.err).complains("can't be used")


@pytest.mark.long
def test_a_commit_that_waits_for_a_standby_is_a_danger(postgres: Server, postgres_database: str, checked: Any) -> None:
    with postgres.setting("synchronous_standby_names", "nobody"):
        code, found = checked(postgres_database)
        assert code == 1
        assert (found["standbys"]["severity"], found["commit"]["severity"]) == ("danger", "danger")


@pytest.mark.parametrize("name", ["serve", "relay"])
def test_what_endangers_data_is_logged_in_a_line_at_the_start(
    postgres_database: str, tmp_path: Path, name: str
) -> None:
    options = ["--port", "0"] if name == "serve" else []
    platform = f"file:{tmp_path / 'events.jsonl'}"
    with subprocess.Popen(
        [JANGTEO, name, "--database", postgres_database, "--platform", platform, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        # What is logged at the start precedes the announcement.
        process.stdout.readline()
        process.terminate()
        logged = [msgspec.json.decode(line) for line in process.stderr if "data in danger" in line]
    assert [(each["check"], each["level"]) for each in logged] == [("fsync", "warning")]
    assert "fsync = on" in logged[0]["advice"]
