"""TLS on the shop's own port: HTTPS only, with whatever certificate its files have now."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from jangteo.api.http import server, tls
from jangteo.api.http.bounds import Bounds
from jangteo.api.http.tls import InvalidCertificate, Tls
from tests.certificates import Certificate, presented, write_certificate
from tests.connections import Application
from tests.serving import serve_in_process


def content_of(certificate: Certificate) -> bytes:
    return ssl.PEM_cert_to_DER_cert(certificate.certificate.read_text())


def while_listening(served: Tls, use: Callable[[int], None]) -> None:
    """Listen with a certificate, and use the port in a thread."""

    async def scenario() -> None:
        listening = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=served.context)
        async with listening:
            await asyncio.to_thread(use, listening.sockets[0].getsockname()[1])

    asyncio.run(scenario())


@pytest.mark.parametrize("tls_1_2", [False, True])
def test_the_next_connection_gets_a_renewed_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, tls_1_2: bool
) -> None:
    monkeypatch.setattr(tls, "_LOOK_EVERY_S", 0)
    certificate = write_certificate(tmp_path)

    def use(port: int) -> None:
        first = content_of(certificate)
        assert presented(port, tls_1_2=tls_1_2) == first
        write_certificate(tmp_path)
        second = content_of(certificate)
        assert second != first
        assert presented(port, tls_1_2=tls_1_2) == second
        # Renewed one after the other: until both fit, the certificate before is used.
        third = write_certificate(tmp_path, "third")
        third.certificate.replace(certificate.certificate)
        assert presented(port, tls_1_2=tls_1_2) == second
        third.key.replace(certificate.key)
        assert presented(port, tls_1_2=tls_1_2) == content_of(certificate) != second
        certificate.key.unlink()
        assert presented(port, tls_1_2=tls_1_2) == content_of(certificate), "files that are gone change nothing"

    while_listening(Tls(certificate.certificate, certificate.key), use)


def test_old_versions_of_tls_are_refused(tmp_path: Path) -> None:
    certificate = write_certificate(tmp_path)
    assert Tls(certificate.certificate, certificate.key).context.minimum_version == ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize("broken", ["certificate", "key"])
@pytest.mark.parametrize("content", [None, b"", b"no PEM", "another's"])
def test_files_that_are_no_certificate_and_its_key_are_an_error_in_one_line(
    tmp_path: Path, broken: str, content: bytes | str | None
) -> None:
    certificate, other = write_certificate(tmp_path), write_certificate(tmp_path, "other")
    path: Path = getattr(certificate, broken)
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content if isinstance(content, bytes) else getattr(other, broken).read_bytes())
    with pytest.raises(InvalidCertificate) as error:
        Tls(certificate.certificate, certificate.key)
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)


def test_a_handshake_that_stands_still_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HANDSHAKE_TIMEOUT_S", 0.2)
    certificate = write_certificate(tmp_path)
    application = Application(Bounds())
    listening = socket.create_server(("127.0.0.1", 0))
    running = server._Server(server.config(application), Tls(certificate.certificate, certificate.key))
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    with socket.create_connection(listening.getsockname(), timeout=30) as client:
        assert client.recv(1) == b"", "the server closed it"
    running.should_exit = True
    thread.join(30)
    assert not thread.is_alive()


@pytest.mark.long
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_shop_serves_https_and_refuses_http_on_its_port(sqlite_database: str, tmp_path: Path, workers: str) -> None:
    certificate = write_certificate(tmp_path)
    shop = serve_in_process(sqlite_database, *certificate.options, "--workers", workers, "--platform", "none")
    assert shop.address.startswith("https://127.0.0.1:")
    port = urlsplit(shop.address).port
    assert port is not None
    with httpx.Client(base_url=shop.address, verify=certificate.trusted(), timeout=30) as client:
        assert client.post("/users", json={}).status_code == 201
        # Whoever speaks HTTP gets none, and the shop goes on.
        with socket.create_connection(("127.0.0.1", port), timeout=30) as plain:
            plain.sendall(b"POST /users HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
            with suppress(ConnectionResetError):
                assert not plain.recv(1_000).startswith(b"HTTP/")
        assert client.get("/users/2/balance").status_code == 404, "nobody was registered over HTTP"
        assert client.get("/users/1/balance").json() == {"balance": 0}
    assert shop.interrupt()[0] == 0
