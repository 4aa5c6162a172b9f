"""The command line on PostgreSQL: from an empty database to a served shop; errors are reported in one line."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from jangteo.url_secrets import shown_url
from tests.postgres import BANNED, PASSWORD_ROLE, USER, Server, running_server
from tests.serving import JANGTEO, Http, audit, serve_in_process


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([JANGTEO, *arguments], capture_output=True, text=True, check=False, timeout=60)


def check_error(result: subprocess.CompletedProcess[str], *says: str) -> None:
    assert result.returncode == 2, result
    assert result.stderr.count("\n") == 1, result.stderr
    for part in says:
        assert part in result.stderr


@pytest.fixture
def created(postgres: Server) -> str:
    postgres.run("DROP DATABASE IF EXISTS commanded WITH (FORCE)")
    return postgres.create("commanded")


def test_a_shop_is_migrated_served_and_audited(created: str, tmp_path: Path) -> None:
    check_error(audit(created), "holds no shop yet", "jangteo migrate")
    migrated = run("migrate", "--database", created)
    assert (migrated.returncode, migrated.stderr) == (0, "")
    assert "is ready for this version" in migrated.stdout
    assert run("migrate", "--database", created).returncode == 0
    platform = f"file:{tmp_path / 'events.jsonl'}"
    server = serve_in_process(created, "--demo", "--workers", "2", "--platform", platform)
    with Http(base_url=server.address, timeout=30) as http:
        assert len(http.get("/products").json()) == 16
        assert http.order(1, (3, 1)).status_code == 201
    code, printed = server.interrupt()
    assert code == 0
    assert printed.endswith("Closed. Every acknowledged change is on disk.\n")
    assert audit(created).returncode == 0
    # An event for every order of the demo and for the one above.
    assert len((tmp_path / "events.jsonl").read_text().splitlines()) > 200


@pytest.mark.parametrize(
    ("url", "printed"),
    [
        ("postgresql://shop:secret@db/shop", "postgresql://shop:***@db/shop"),
        ("postgresql://shop:se:cret@db,other/shop", "postgresql://shop:***@db,other/shop"),
        ("postgresql://db/shop?user=shop&password=secret&sslmode=require",
         "postgresql://db/shop?user=shop&password=***&sslmode=require"),
        ("postgresql://shop:se/cret@db/shop", "postgresql://***"),
        ("postgresql://shop:5/cret@db/shop", "postgresql://***"),
        ("postgresql://shop:se@cret@db/shop", "postgresql://***"),
        ("postgresql://shop:se?cret@db/shop", "postgresql://shop:***@db/shop"),
        ("host=db user=shop password=secret", "***"),
        ("postgresql://shop@db:5433/shop", "postgresql://shop@db:5433/shop"),
        ("sqlite:////data/a:b@c.db", "sqlite:////data/a:b@c.db"),
    ],
)  # fmt: skip
def test_a_password_is_never_printed(url: str, printed: str) -> None:
    assert shown_url(url) == printed


EVERY_COMMAND = (["serve", "--port", "0"], ["migrate"], ["audit"])


@pytest.fixture
def guarded(postgres: Server, created: str) -> Iterator[str]:
    """The URL of a database without the password that it asks for."""
    postgres.run(f"CREATE ROLE {PASSWORD_ROLE} LOGIN PASSWORD 'right-one'")
    postgres.run(f"ALTER DATABASE commanded OWNER TO {PASSWORD_ROLE}")
    yield created.replace(f"//{USER}@", f"//{PASSWORD_ROLE}:PASSWORD@")
    postgres.run("DROP DATABASE commanded WITH (FORCE)")
    postgres.run(f"DROP ROLE {PASSWORD_ROLE}")


def test_a_wrong_password_is_reported_without_printing_it(guarded: str) -> None:
    migrated = run("migrate", "--database", guarded.replace("PASSWORD", "right-one"))
    assert (migrated.returncode, migrated.stderr) == (0, "")
    assert "right-one" not in migrated.stdout
    for command in EVERY_COMMAND:
        refused = run(*command, "--database", guarded.replace("PASSWORD", "wrong-one"))
        check_error(refused, f'password authentication failed for user "{PASSWORD_ROLE}"')
        assert "wrong-one" not in refused.stdout + refused.stderr


@pytest.mark.parametrize("url", ["postgresql://shop:se%cret@db/shop", "postgresql://shop:se cret@db/shop"])
def test_a_malformed_url_is_reported_without_its_password(url: str) -> None:
    for command in EVERY_COMMAND:
        refused = run(*command, "--database", url)
        check_error(refused, "URL can't be read", "%XX")
        assert "cret" not in refused.stdout + refused.stderr


def test_a_server_that_is_too_old_is_refused(created: str) -> None:
    # An older server isn't at hand, so the command requires a newer one.
    newer = "from jangteo.storage.postgres import server; server.OLDEST_VERSION = 99; "
    for command in EVERY_COMMAND:
        program = [sys.executable, "-c", f"{newer}from jangteo.cli.main import main; main()"]
        arguments = [*program, *command, "--database", created]
        refused = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=60)
        check_error(refused, "is too old: Jangteo needs 99 or newer")


def test_concurrent_migrations_all_succeed(created: str) -> None:
    started = [
        subprocess.Popen([JANGTEO, "migrate", "--database", created], stdout=subprocess.DEVNULL) for _ in range(4)
    ]
    assert [each.wait(60) for each in started] == [0] * 4


def test_a_missing_database_is_named(postgres: Server) -> None:
    check_error(run("serve", "--port", "0", "--database", postgres.url("nowhere")), 'database "nowhere" does not exist')


def test_an_unreachable_server_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    for command in (["serve", "--port", "0"], ["migrate"], ["audit"]):
        result = run(*command, "--database", f"postgresql://shop@127.0.0.1:{port}/shop")
        check_error(result, "PostgreSQL can't be used", f"port {port} failed")


def test_several_hosts_may_be_named(postgres: Server, created: str) -> None:
    several = created.replace("127.0.0.1:", "127.0.0.1:1,127.0.0.1:") + "?target_session_attrs=read-write"
    assert run("migrate", "--database", several).returncode == 0


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        ("CREATE TABLE customers (id BIGINT)", "another program's"),
        (
            """
            CREATE TABLE ledger_entries (id BIGINT);
            CREATE TABLE stock_movements (id BIGINT);
            CREATE TABLE outbox (id BIGINT);
            CREATE TABLE writers (id BIGINT);
            CREATE TABLE jangteo_version (version_num TEXT);
            INSERT INTO jangteo_version VALUES ('jangteo_9999')
            """,
            "newer schema (jangteo_9999)",
        ),
    ],
)
def test_a_database_of_another_program_is_left_unchanged(
    postgres: Server, created: str, damage: str, says: str
) -> None:
    postgres.run(damage, "commanded")
    for command in EVERY_COMMAND:
        check_error(run(*command, "--database", created), says)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT pg_advisory_lock(1)",
        "listen orders",
        "NOTIFY orders",
        "SELECT pg_notify('orders', '')",
        "CREATE TABLE t (id BIGSERIAL)",
        "CREATE TABLE t (id serial8)",
        "UNIQUE (id) DEFERRABLE",
        "SET CONSTRAINTS ALL DEFERRED",
        "EXCLUDE (a WITH =)",
        "LOCK\n\tTABLE users",
        "lock users",
        "CREATE TABLE t (open tstzrange)",
    ],
)
def test_sql_that_other_databases_lack_is_noticed(sql: str) -> None:
    assert BANNED.search(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "BEGIN ISOLATION LEVEL SERIALIZABLE",
        "SELECT id FROM users FOR NO KEY UPDATE",
        "SELECT set_config('lock_timeout', '10s', FALSE)",
    ],
)
def test_portable_sql_is_let_through(sql: str) -> None:
    assert BANNED.search(sql) is None


def test_every_statement_sent_to_a_server_is_searched() -> None:
    def send_statements(server: Server) -> None:
        server.run("LISTEN orders")
        server.kill()
        server.start()
        with psycopg.connect(server.url("postgres"), prepare_threshold=0) as connection:
            connection.execute("SELECT\npg_try_advisory_lock(%s)", [1])
            # A value is not searched.
            connection.execute("SELECT %s::text", ["NOTIFY"])

    with pytest.raises(AssertionError) as error, running_server() as started:
        send_statements(started)
    assert all(banned in str(error.value) for banned in ("LISTEN orders", "pg_try_advisory_lock"))
    assert "NOTIFY" not in str(error.value)
