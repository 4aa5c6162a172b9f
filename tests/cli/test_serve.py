"""`jangteo serve` in a process of its own: start, output, end."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import sqlite3
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.faults.customers import local_id
from tests.serving import JANGTEO, Http, audit, serve_in_process

KEY = re.compile("jt_[0-9]+_[A-Za-z0-9_-]{43}")


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": "/usr/bin:/bin", **environment}
    return subprocess.run([JANGTEO, *arguments], capture_output=True, text=True, check=False, timeout=60, env=env)


def check_error(result: subprocess.CompletedProcess[str], *says: str) -> None:
    """Check that it failed with exit code 2 and one line on standard error."""
    assert result.returncode == 2, result
    assert result.stderr.count("\n") == 1, result.stderr
    assert result.stderr.startswith("jangteo: ")
    for part in says:
        assert part in result.stderr


def test_the_demo_shop_is_served_until_it_is_interrupted(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'shop.db'}"
    server = serve_in_process(database, "--demo")
    with Http(base_url=server.address, timeout=30) as http:
        assert len(http.get("/products").json()) == 16
        assert len(http.get("/products/top").json()) == 5
        assert http.order(1, (3, 1)).status_code == 201
        orders = http.get("/users/1/orders").json()
    code, printed = server.interrupt()
    assert (code, "Every acknowledged change is on disk" in printed) == (0, True)
    assert audit(database).returncode == 0
    # The write-ahead log is checkpointed into the database, and all events are sent.
    assert not (tmp_path / "shop.db-wal").exists()
    sent = [local_id(json.loads(line)["id"]) for line in (tmp_path / "shop.events.jsonl").read_text().splitlines()]
    assert f"order-{orders[0]['orderId']}-paid" in sent
    assert len(sent) == len(set(sent))
    # The second start finds the shop as it was left.
    server = serve_in_process(database, "--demo")
    with Http(base_url=server.address, timeout=30) as http:
        assert http.get("/users/1/orders").json() == orders
    server.interrupt()


def test_an_empty_shop_suggests_no_user_that_is_not_there(tmp_path: Path) -> None:
    empty = f"sqlite:///{tmp_path / 'empty.db'}"
    _, printed = serve_in_process(empty).interrupt()
    assert "Try:" in printed
    assert "users/1" not in printed
    assert '"userId": 1' not in printed
    demo = f"sqlite:///{tmp_path / 'demo.db'}"
    for options in (["--demo"], ["--demo"], []):
        _, printed = serve_in_process(demo, *options).interrupt()
        assert "/users/1/balance" in printed, options
        assert '"userId": 1, "items": [{"productId": 3, "quantity": 1}]' in printed


def test_listening_beyond_loopback_needs_keys_unless_it_is_open(tmp_path: Path) -> None:
    server = serve_in_process(f"sqlite:///{tmp_path / 'shop.db'}", "--host", "0.0.0.0")
    address = server.address.replace("0.0.0.0", "127.0.0.1")
    assert httpx.post(f"{address}/users").status_code == 401
    assert httpx.get(f"{address}/products").status_code == 200
    _, printed = server.interrupt()
    assert "API keys; anyone may read products and campaigns" in printed
    assert "CAUTION" not in printed


def test_the_demo_shop_prints_a_key_that_works_at_each_start(tmp_path: Path) -> None:
    for _ in range(2):
        server = serve_in_process(f"sqlite:///{tmp_path / 'shop.db'}", "--demo", "--access", "keys")
        # The key is printed with the lines after the address.
        assert server.process.stdout is not None
        (key,) = {found[0] for line in iter(server.process.stdout.readline, "Try:\n") if (found := KEY.search(line))}
        assert httpx.get(f"{server.address}/users/1/balance").status_code == 401
        headers = {"authorization": f"Bearer {key}"}
        assert httpx.get(f"{server.address}/users/1/balance", headers=headers).status_code == 200
        _, printed = server.interrupt()
        assert f"/users/1/balance -H 'authorization: Bearer {key}'" in printed


def test_an_open_shop_beyond_loopback_prints_a_caution(tmp_path: Path) -> None:
    server = serve_in_process(f"sqlite:///{tmp_path / 'shop.db'}", "--host", "0.0.0.0", "--access", "open")
    _, printed = server.interrupt()
    assert "CAUTION: 0.0.0.0 is not loopback" in printed


def test_options_are_read_from_the_environment(tmp_path: Path) -> None:
    result = run("serve", JANGTEO_DATABASE=f"sqlite:///{tmp_path}")
    check_error(result, str(tmp_path), "is a folder")


@pytest.fixture
def other_file(tmp_path: Path) -> Path:
    path = tmp_path / "notes.db"
    path.write_text("These are notes, and no database, but they are long enough to be taken for one. " * 10)
    return path


@pytest.mark.parametrize("length", [1, 15, 900])
def test_a_file_that_is_not_a_database_is_left_unchanged(other_file: Path, length: int) -> None:
    other_file.write_bytes(other_file.read_bytes()[:length])
    before = other_file.read_bytes()
    check_error(run("serve", "--port", "0", "--database", f"sqlite:///{other_file}"), str(other_file), "not a database")
    assert other_file.read_bytes() == before
    assert [each.name for each in other_file.parent.iterdir()] == ["notes.db"]


def test_the_database_of_another_program_is_left_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    raw = sqlite3.connect(path)
    raw.execute("PRAGMA journal_mode = WAL")
    raw.execute("CREATE TABLE songs (title)")
    # Other programs use Alembic too.
    raw.execute("CREATE TABLE alembic_version (version_num)")
    raw.execute("INSERT INTO alembic_version VALUES ('jangteo_0001')")
    raw.commit()
    raw.close()
    before = path.read_bytes()
    check_error(run("serve", "--port", "0", "--database", f"sqlite:///{path}"), "another program's database")
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["other.db"]


def test_a_database_with_a_newer_schema_is_left_unchanged(empty_database: Path, tmp_path: Path) -> None:
    path = tmp_path / "newer.db"
    shutil.copy(empty_database, path)
    raw = sqlite3.connect(path)
    raw.execute("UPDATE jangteo_version SET version_num = '9999'")
    raw.execute("UPDATE compatibility SET oldest_revision = '9999'")
    raw.commit()
    raw.close()
    before = path.read_bytes()
    for command in (["serve", "--port", "0"], ["audit"]):
        check_error(run(*command, "--database", f"sqlite:///{path}"), "newer schema (9999)", "upgrade Jangteo")
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--database", "sqlite:///{}/missing/shop.db"], "create it, or name another path"),
        (["--database", "sqlite:///"], "sqlite:///PATH"),
        (["--database", "mysql://x/y"], "sqlite:///PATH"),
        (["--database", "postgresql://u:secret@x.invalid/y"], "PostgreSQL can't be used: failed to resolve host"),
        (["--database", "postgresql://u@127.0.0.1:1/y"], "Connection refused"),
        (["--database", "postgresql://u@127.0.0.1/y?colour=red"], "the database's URL can't be read"),
        (["--platform", "carrier-pigeon:home"], "file:PATH"),
        (["--workers", "2", "--writer", "thread"], "--workers above 1 needs --writer process"),
        (["--writers", "2"], "--writers above 1 needs PostgreSQL"),
        (["--port", "70000"], "--port"),
        (["--port", "eighty"], "--port"),
        (["--drain", "-1"], "--drain"),
        (["--drain", "3601"], "--drain"),
        (["--host", "256.0.0.1"], "256.0.0.1"),
        (["--host", "a..b"], "a..b"),
        (["--database", "sqlite:///:memory:"], "name a file"),
        (["--database", "sqlite:///{}/" + "x" * 300], "name too long"),
        (["--platform", "file:{}/" + "x" * 300], "name too long"),
        (["--platform", "file:{}/shop.db"], "own database"),
        (["--platform", "file:{}/shop.db-wal"], "own database"),
        (["--colour"], "--colour"),
    ],
)
def test_an_invalid_option_is_reported_in_one_line(tmp_path: Path, options: list[str], says: str) -> None:
    arguments = [option.format(tmp_path) for option in options]
    if "--port" not in arguments:
        arguments += ["--port", "0"]
    if "--database" not in arguments:
        arguments += ["--database", f"sqlite:///{tmp_path / 'shop.db'}"]
    result = run("serve", *arguments)
    check_error(result, says)
    assert "secret" not in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_port_in_use_is_reported_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        check_error(run("serve", "--port", port, "--database", f"sqlite:///{tmp_path / 'a.db'}"), port, "is in use")
    assert list(tmp_path.iterdir()) == []


def test_one_file_is_served_by_one_process(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'shop.db'}"
    server = serve_in_process(database)
    check_error(run("serve", "--port", "0", "--database", database), "is being served by another process")
    assert audit(database).returncode == 0, "an audit may run while the shop is served"
    server.kill()
    server = serve_in_process(database)
    assert server.interrupt()[0] == 0


def test_special_characters_in_the_path_are_kept(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'my%20shop ?#1.db'}"
    server = serve_in_process(database, "--demo")
    assert server.interrupt()[0] == 0
    assert audit(database).returncode == 0
    assert {each.name for each in tmp_path.iterdir()} == {
        "my%20shop ?#1.db",
        "my%20shop ?#1.db.lock",
        "my%20shop ?#1.db.relay.lock",
        "my%20shop ?#1.events.jsonl",
    }


def test_a_symbolic_link_to_a_served_file_is_refused(tmp_path: Path) -> None:
    server = serve_in_process(f"sqlite:///{tmp_path / 'a.db'}")
    (tmp_path / "b.db").symlink_to(tmp_path / "a.db")
    check_error(
        run("serve", "--port", "0", "--database", f"sqlite:///{tmp_path / 'b.db'}"), "is being served by another"
    )
    server.interrupt()


def test_a_folder_for_temporary_files_with_too_long_a_name_is_reported_in_one_line(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 100)
    folder.mkdir()
    command = [JANGTEO, "serve", "--database", f"sqlite:///{tmp_path / 'shop.db'}", "--port", "0", "--workers", "2"]
    ended = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=60, env={**os.environ, "TMPDIR": str(folder)}
    )
    assert ended.returncode != 0
    assert "name a shorter folder as TMPDIR" in ended.stderr.replace("\n", " ")
    assert "Traceback" not in ended.stderr


def test_no_room_for_what_workers_share_is_reported_in_one_line(tmp_path: Path) -> None:
    command = [JANGTEO, "serve", "--database", f"sqlite:///{tmp_path / 'shop.db'}", "--port", "0", "--workers", "2"]
    # No file may be larger than 2 MiB, the memory for rates is one of 8.
    limited = ["sh", "-c", 'ulimit -f 4096; exec "$@"', "sh", *command]
    ended = subprocess.run(limited, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode != 0
    assert "name a folder with 8 MiB as TMPDIR" in ended.stderr.replace("\n", " ")
    assert "Traceback" not in ended.stderr


def test_a_signal_during_the_start_closes_the_shop(tmp_path: Path) -> None:
    for _ in range(5):
        code, printed = serve_in_process(f"sqlite:///{tmp_path / 'shop.db'}").interrupt()
        assert (code, "Every acknowledged change is on disk" in printed) == (0, True)


def test_an_incomplete_request_does_not_block_the_shutdown(tmp_path: Path) -> None:
    server = serve_in_process(f"sqlite:///{tmp_path / 'shop.db'}")
    host, port = server.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as stuck:
        stuck.sendall(b"POST /users HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\n{")
        with Http(base_url=server.address, timeout=30) as http:
            assert http.get("/health/live").status_code == 200
        assert server.interrupt()[0] == 0
        assert stuck.recv(4_096).startswith(b"HTTP/1.1 503 ")


def test_an_unwritable_folder_is_reported_in_one_line(tmp_path: Path) -> None:
    # The superuser may write everywhere else, but nobody can write to /proc.
    check_error(
        run("serve", "--port", "0", "--database", "sqlite:////proc/shop.db", "--platform", f"file:{tmp_path}/e")
    )
