"""nginx in front of a shop, as docs/security.md shows it: TLS ends there, and the shop knows its clients."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.certificates import write_certificate
from tests.nginx import running_nginx
from tests.serving import serve_in_process

HOST = {"host": "shop.example.com"}


@pytest.mark.long
def test_behind_nginx_the_shop_has_its_public_name_and_sees_its_clients_addresses(
    sqlite_database: str, tmp_path: Path
) -> None:
    certificate = write_certificate(tmp_path)
    shop = serve_in_process(
        sqlite_database,
        *("--allowed-host", "shop.example.com", "--trusted-proxy", "127.0.0.1", "--rate", "address=3/h"),
        *("--platform", "none"),
    )
    port = urlsplit(shop.address).port
    assert port is not None
    with (
        running_nginx(port, certificate) as https_port,
        httpx.Client(
            base_url=f"https://127.0.0.1:{https_port}", verify=certificate.trusted(), timeout=30, headers=HOST
        ) as client,
        httpx.Client(base_url=shop.address, timeout=30, headers={"x-forwarded-for": "198.51.100.1"}) as beside,
    ):
        # A page that the shop serves is of the same origin in the browser's eyes, by whatever name it is called.
        own = {"origin": "https://shop.example.com", "sec-fetch-site": "same-origin"}
        assert client.post("/users", json={}, headers=own).status_code == 201
        assert client.post("/users", json={}, headers={"origin": "https://shop.example.com"}).status_code == 201
        foreign = client.post("/users", json={}, headers={"origin": "https://evil.example"})
        assert (foreign.status_code, foreign.json()["type"]) == (403, "/problems/cross-site")
        # A client can't say that it is another: nginx adds the address that it sees.
        spoofed = {"x-forwarded-for": "203.0.113.7", "forwarded": "for=203.0.113.7"}
        assert client.get("/products", headers=spoofed).status_code == 200
        assert client.get("/products", headers={"x-forwarded-for": "203.0.113.8"}).status_code == 429
        assert client.get("/health/ready").status_code == 200
        assert beside.get("/products").status_code == 200, "another address has a rate of its own"
    assert shop.interrupt()[0] == 0
