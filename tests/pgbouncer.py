"""PgBouncer in front of a test's PostgreSQL server, from the system's package."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

import psycopg
import pytest

from tests.postgres import USER, Server, free_port, system_user

_PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
_START_LIMIT_S = 30


@contextmanager
def running_pgbouncer(server: Server, mode: str, **settings: str) -> Iterator[int]:
    """Run a pooler in a mode ("session", "transaction", "statement") while the block runs; yields its port."""
    if _PROGRAM is None:
        missing = "PgBouncer is not installed: apt-get install pgbouncer"
        assert os.environ.get("CI") != "true", missing
        pytest.skip(missing)
    folder, port = Path(tempfile.mkdtemp(prefix="jangteo-pgbouncer-")), free_port()
    user = system_user()
    process = subprocess.Popen(
        [_PROGRAM, "-q", _write_settings(folder, port, server, {"pool_mode": mode, **settings})],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        **user,
    )
    try:
        _wait_until_it_listens(process, port)
        yield port
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder)


def _write_settings(folder: Path, port: int, server: Server, settings: dict[str, str]) -> Path:
    users = folder / "users.txt"
    users.write_text(f'"{USER}" ""\n')
    listening = {"listen_addr": "127.0.0.1", "listen_port": str(port), "unix_socket_dir": ""}
    written = {**listening, "auth_type": "trust", "auth_file": str(users), **settings}
    path = folder / "pgbouncer.ini"
    lines = "\n".join(f"{name} = {value}" for name, value in written.items())
    path.write_text(f"[databases]\n* = host=127.0.0.1 port={server.port}\n[pgbouncer]\n{lines}\n")
    for each in (folder, users, path):
        # It refuses to run as root.
        each.chmod(0o755)
    return path


def _wait_until_it_listens(process: subprocess.Popen[bytes], port: int) -> None:
    give_up_at = monotonic() + _START_LIMIT_S
    while True:
        try:
            psycopg.connect(f"postgresql://{USER}@127.0.0.1:{port}/postgres", connect_timeout=2).close()
        except psycopg.OperationalError:
            assert process.poll() is None, "PgBouncer ended"
            assert monotonic() < give_up_at, "PgBouncer doesn't accept connections"
            sleep(0.02)
        else:
            return
