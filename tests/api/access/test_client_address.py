"""The address of a client is that of its connection, unless a proxy that is trusted says another."""

from __future__ import annotations

import pytest

from jangteo.api.access.client_address import ClientAddresses, InvalidNetwork, read_networks
from jangteo.api.http.messages import Header, Request

TRUSTED = read_networks(["10.0.0.0/8", "fd00::/8", "127.0.0.1"])


def found(peer: str, *headers: Header, trusted: bool = True) -> str:
    request = Request("GET", "/products", b"", list(headers), b"", keep_alive=True, peer=peer)
    return ClientAddresses(TRUSTED if trusted else ()).find(request)


def via(*values: str) -> list[Header]:
    return [(b"x-forwarded-for", value.encode()) for value in values]


def forwarded(*values: str) -> list[Header]:
    return [(b"forwarded", value.encode()) for value in values]


@pytest.mark.parametrize(
    ("peer", "headers", "client"),
    [
        ("203.0.113.7", [], "203.0.113.7"),
        ("203.0.113.7", via("198.51.100.1"), "203.0.113.7"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", via("198.51.100.1"), "198.51.100.1"),
        ("10.0.0.1", via("1.2.3.4, 198.51.100.1"), "198.51.100.1"),
        ("10.0.0.1", via("1.2.3.4", "198.51.100.1, 10.0.0.9"), "198.51.100.1"),
        ("10.0.0.1", via("198.51.100.1:4711"), "198.51.100.1"),
        ("10.0.0.1", via("[2001:db8::1]:4711"), "2001:db8::/64"),
        ("10.0.0.1", via("2001:db8:0:0:5::1"), "2001:db8::/64"),
        ("10.0.0.1", via("10.0.0.7, 10.0.0.8"), "10.0.0.7"),
        ("10.0.0.1", via("198.51.100.1, unknown"), "10.0.0.1"),
        ("10.0.0.1", via("198.51.100.1, "), "10.0.0.1"),
        ("10.0.0.1", via("999.1.1.1"), "10.0.0.1"),
        ("10.0.0.1", via("198.51.100.1, unknown, 10.0.0.8"), "10.0.0.8"),
        ("10.0.0.1", via("198.51.100.1, " * 500 + "10.0.0.2" + ", 10.0.0.3" * 60), "10.0.0.3"),
        ("::ffff:10.0.0.1", via("198.51.100.1"), "198.51.100.1"),
        ("fd00::1", forwarded("for=198.51.100.1;proto=https"), "198.51.100.1"),
        ("127.0.0.1", forwarded('for="[2001:db8::1]:4711"'), "2001:db8::/64"),
        ("127.0.0.1", forwarded("for=1.2.3.4, For=198.51.100.1;by=10.0.0.1"), "198.51.100.1"),
        ("127.0.0.1", forwarded('for="1.2.3.4', "for=198.51.100.1"), "198.51.100.1"),
        ("127.0.0.1", forwarded("for=_hidden"), "127.0.0.1"),
        ("127.0.0.1", [*forwarded("for=1.2.3.4"), *via("198.51.100.1")], "198.51.100.1"),
        ("2001:db8::1:2:3:4", [], "2001:db8::/64"),
        ("fe80::1%eth0", [], "fe80::/64"),
        ("", [], "unknown"),
        ("", via("198.51.100.1"), "unknown"),
    ],
)
def test_the_last_hop_that_is_not_trusted_is_the_client(peer: str, headers: list[Header], client: str) -> None:
    assert found(peer, *headers) == client


def test_without_trusted_proxies_no_header_is_believed() -> None:
    assert found("127.0.0.1", *via("198.51.100.1"), *forwarded("for=1.2.3.4"), trusted=False) == "127.0.0.1"


@pytest.mark.parametrize("text", ["", "proxy", "10.0.0.0/33", "10.0.0.1/8"])
def test_what_is_no_network_is_an_error(text: str) -> None:
    with pytest.raises(InvalidNetwork, match="is no network"):
        read_networks([text])
