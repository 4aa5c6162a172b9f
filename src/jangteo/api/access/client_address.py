"""The address that a request comes from: its connection's, or what a proxy that is trusted says of it."""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from jangteo.api.http.messages import Header, Request
from jangteo.settings import InvalidSetting

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

UNKNOWN: Final = "unknown"
"""The address of a client without one, as on a Unix socket."""
_HOPS_MAX: Final = 32
_FOR: Final = re.compile(r'for=("[^"]*"|[^;,\s]+)', re.IGNORECASE)
_NODE: Final = re.compile(r"\[(?P<bracketed>[^\]]+)\](?::\d+)?|(?P<v4>[0-9.]+)(?::\d+)?|(?P<bare>[0-9a-fA-F:.]+)")
_CLIENT_BITS: Final = 64
"""One client has at least so much of IPv6."""


class InvalidNetwork(InvalidSetting):
    """A text is no network; the message is one line for the operator."""


def read_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Read networks such as `10.0.0.0/8`, or single addresses. Raises InvalidNetwork."""
    networks: list[Network] = []
    for text in texts:
        try:
            networks.append(ip_network(text))
        except ValueError:
            raise InvalidNetwork(
                f"--trusted-proxy {text!r} is no network: write 10.0.0.0/8, or the address of one proxy"
            ) from None
    return tuple(networks)


class ClientAddresses:
    """Finds the address of each request's client."""

    def __init__(self, trusted: Sequence[Network] = ()) -> None:
        """`trusted` are the networks of the proxies."""
        self._trusted = trusted

    def find(self, request: Request) -> str:
        """Return the client's address, or the first 64 bits of one of IPv6, as text.

        What the trusted proxies said is read from the last hop to the first; the first address of nobody trusted is the
        client's. `Forwarded` is only read where there is no `X-Forwarded-For`: most proxies write that one, and pass on
        what a client has made up in the other.
        """
        if not self._trusted:
            return _client(request.peer)
        address = _read_address(request.peer)
        if address is None or not self._is_trusted(address):
            return _client(request.peer)
        for hop in _hops(request.headers):
            before = _read_address(hop)
            if before is None:
                break
            address = before
            if not self._is_trusted(address):
                break
        return _client(str(address))

    def _is_trusted(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)


def _hops(headers: Iterable[Header]) -> Iterator[str]:
    """Yield the addresses that proxies have added, the last one first."""
    values: dict[bytes, list[str]] = {b"x-forwarded-for": [], b"forwarded": []}
    for name, value in headers:
        if name in values:
            values[name].append(value.decode("latin-1"))
    if values[b"x-forwarded-for"]:
        hops = ",".join(values[b"x-forwarded-for"]).split(",")
    else:
        hops = [_forwarded_for(each) for each in ",".join(values[b"forwarded"]).split(",")]
    for hop in hops[: -_HOPS_MAX - 1 : -1]:
        yield hop.strip()


def _forwarded_for(element: str) -> str:
    found = _FOR.search(element)
    return found[1].strip('"') if found else ""


def _read_address(text: str) -> Address | None:
    """Read an address, with or without a port, without its zone; None for anything else, such as `unknown`."""
    node = _NODE.fullmatch(text.partition("%")[0])
    if node is None:
        return None
    try:
        address = ip_address(node["bracketed"] or node["v4"] or node["bare"])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


@lru_cache(maxsize=4_096)
def _client(text: str) -> str:
    address = _read_address(text)
    if address is None:
        return UNKNOWN
    if isinstance(address, IPv6Address):
        return str(ip_network((address, _CLIENT_BITS), strict=False))
    return str(address)
