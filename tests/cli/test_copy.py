"""`jangteo copy`: its output, its exit codes, and that the copied shop is served."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from jangteo import demo
from jangteo.app import system_clock
from jangteo.cli import main
from jangteo.storage.urls import open_storage
from tests.serving import JANGTEO, ServedShop, audit
from tests.terminal import run_on_terminal


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": "/usr/bin:/bin", **environment}
    return subprocess.run([JANGTEO, *arguments], capture_output=True, text=True, check=False, timeout=60, env=env)


def assert_refused(result: subprocess.CompletedProcess[str], *parts: str, code: int = 2) -> None:
    """The command ended with one line on stderr."""
    assert result.returncode == code, result
    assert result.stderr.count("\n") == 1, result.stderr
    assert result.stderr.startswith("jangteo: ")
    for part in parts:
        assert part in result.stderr


@pytest.fixture
def demo_database(tmp_path: Path) -> str:
    database = f"sqlite:///{tmp_path / 'demo.db'}"
    with closing(open_storage(database)) as storage:
        storage.prepare()
        assert demo.fill(storage, system_clock)
    return database


def orders_in(database: str) -> int:
    with closing(open_storage(database).connect()) as connection, connection.snapshot(system_clock()) as snapshot:
        return int(snapshot.rows("SELECT COUNT(*) FROM orders")[0][0])


def test_a_copied_shop_goes_on_where_it_was(
    demo_database: str, database: str, tmp_path: Path, open_shop: Callable[..., ServedShop]
) -> None:
    old = open_shop(database=demo_database, platform=f"file:{tmp_path / 'old.jsonl'}")
    first = old.http.order(1, (3, 1), key="first")
    ledger = old.http.get("/users/1/ledger").json()
    old.close()
    result = run("copy", JANGTEO_FROM=demo_database, JANGTEO_TO=database)
    assert (result.returncode, result.stderr) == (0, "")
    printed = result.stdout.splitlines()
    assert printed[0] == f"auditing {demo_database}"
    assert "users                        20 rows" in printed
    assert f"orders                      {first.json()['orderId']} rows" in printed
    assert printed[-1] == "The books are right on both ends."
    assert audit(database).returncode == 0
    new = open_shop(platform=f"file:{tmp_path / 'new.jsonl'}")
    assert new.http.get("/users/1/ledger").json() == ledger
    again = new.http.order(1, (3, 1), key="first")
    assert (again.json(), again.headers["idempotency-replayed"]) == (first.json(), "true")
    assert new.http.order(1, (3, 1)).json()["orderId"] > first.json()["orderId"]
    assert new.http.user() == 21


def test_a_terminal_shows_a_progress_bar(demo_database: str, sqlite_database: str) -> None:
    code, shown = run_on_terminal([JANGTEO, "copy", "--from", demo_database, "--to", sqlite_database])
    assert code == 0
    assert b"audit of the target" in shown
    assert shown.rstrip().endswith(b"The books are right on both ends.")


def test_ctrl_c_leaves_the_target_empty(
    demo_database: str, database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def press_ctrl_c(line: str) -> None:
        if line.startswith("outbox"):
            raise KeyboardInterrupt

    monkeypatch.setattr(sys, "argv", ["jangteo", "copy", "--from", demo_database, "--to", database])
    monkeypatch.setattr("jangteo.cli.copy.say", press_ctrl_c)
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == 130
    assert capsys.readouterr().err == ""
    assert orders_in(database) == 0


def test_a_filled_target_is_refused(demo_database: str, database: str) -> None:
    with closing(open_storage(database)) as storage:
        assert demo.fill(storage, system_clock)
    assert_refused(run("copy", "--from", demo_database, "--to", database), "the target holds a shop already (users)")
    assert orders_in(database) == orders_in(demo_database)


def test_a_shop_that_fails_its_audit_is_refused(demo_database: str, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "demo.db")) as raw:
        raw.execute("UPDATE products SET stock = stock - 1 WHERE id = 2")
        raw.commit()
    result = run("copy", "--from", demo_database, "--to", f"sqlite:///{tmp_path / 'new.db'}")
    assert_refused(result, "the audit of the source failed (every stock", "nothing was copied", code=1)
    assert not (tmp_path / "new.db").exists()


def test_a_served_shop_is_refused(demo_database: str, tmp_path: Path) -> None:
    with closing(open_storage(demo_database)) as served:
        served.prepare()
        result = run("copy", "--from", demo_database, "--to", f"sqlite:///{tmp_path / 'new.db'}")
    assert_refused(result, "is being served by another process")
    assert not (tmp_path / "new.db").exists()


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ("sqlite:///{}/none.db", "sqlite:///{}/new.db", "is not there"),
        ("sqlite:///{}/demo.db", "sqlite:///{}/demo.db", "the same database"),
        ("sqlite:///{}/demo.db", "sqlite:///{}/missing/new.db", "create it, or name another path"),
        ("sqlite:///{}/demo.db", "mysql://x/y", "sqlite:///PATH"),
        ("sqlite:///{}/demo.db", "postgresql://u:secret@127.0.0.1:1/y", "Connection refused"),
        ("postgresql://u:secret@127.0.0.1:1/y", "sqlite:///{}/new.db", "Connection refused"),
        ("sqlite:///{}/newer.db", "sqlite:///{}/new.db", "newer schema (9999)"),
        ("sqlite:///{}/demo.db", "sqlite:///{}/newer.db", "newer schema (9999)"),
        ("sqlite:///{}/other.db", "sqlite:///{}/new.db", "another program's database"),
        ("sqlite:///{}/demo.db", "sqlite:///{}/other.db", "another program's database"),
    ],
)
def test_a_database_that_cannot_be_copied_is_reported_in_one_line(
    demo_database: str, sqlite_database: str, tmp_path: Path, source: str, target: str, message: str
) -> None:
    (tmp_path / "shop.db").rename(tmp_path / "newer.db")
    with closing(sqlite3.connect(tmp_path / "newer.db")) as raw:
        raw.executescript(
            "UPDATE jangteo_version SET version_num = '9999'; UPDATE compatibility SET oldest_revision = '9999'"
        )
        raw.commit()
    with closing(sqlite3.connect(tmp_path / "other.db")) as raw:
        raw.execute("CREATE TABLE songs (title)")
    result = run("copy", "--from", source.format(tmp_path), "--to", target.format(tmp_path))
    assert_refused(result, message)
    assert "secret" not in result.stderr
    assert not (tmp_path / "new.db").exists()


@pytest.mark.parametrize(("given", "missing"), [("--from", "--to"), ("--to", "--from")])
def test_both_ends_must_be_named(given: str, missing: str) -> None:
    assert_refused(run("copy", given, "sqlite:///shop.db"), missing)
