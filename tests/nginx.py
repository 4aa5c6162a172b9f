"""A real nginx for tests, from Debian's package: it ends TLS in front of a shop, as docs/security.md shows."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

import pytest

from tests.certificates import Certificate
from tests.postgres import free_port

SECURITY = Path(__file__).parents[1] / "docs" / "security.md"
_START_LIMIT_S = 30
_AROUND = """
daemon off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{server}
}}
"""


def documented() -> str:
    """The part of nginx's configuration that the document shows."""
    block = re.search(r"```nginx\n(.*?)```", SECURITY.read_text(), re.DOTALL)
    assert block is not None
    return block[1]


@contextmanager
def running_nginx(shop_port: int, certificate: Certificate) -> Iterator[int]:
    """Run what the document shows, on ports and with files of the test; yields the port for HTTPS."""
    program = _program()
    folder, port = Path(tempfile.mkdtemp(prefix="jangteo-nginx-")), free_port()
    server = documented()
    for shown, used in (
        ("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;"),
        ("/etc/ssl/shop.pem", str(certificate.certificate)),
        ("/etc/ssl/shop-key.pem", str(certificate.key)),
        ("http://127.0.0.1:8000", f"http://127.0.0.1:{shop_port}"),
    ):
        assert shown in server, shown
        server = server.replace(shown, used)
    configuration = folder / "nginx.conf"
    configuration.write_text(_AROUND.format(folder=folder, server=server))
    process = subprocess.Popen([program, "-p", folder, "-e", folder / "error.log", "-c", configuration])
    try:
        _wait_until_it_listens(process, port, folder)
        yield port
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder)


def _program() -> str:
    """The path of the program. Without it the test is skipped, and in CI it fails."""
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        reason = "nginx is not installed: apt-get install nginx"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return program


def _wait_until_it_listens(process: subprocess.Popen[bytes], port: int, folder: Path) -> None:
    give_up_at = monotonic() + _START_LIMIT_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert process.poll() is None, (folder / "error.log").read_text()
            assert monotonic() < give_up_at, "nginx doesn't accept connections"
            sleep(0.02)
        else:
            return
