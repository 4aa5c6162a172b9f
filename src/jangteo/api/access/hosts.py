"""The names of a server: a request whose `Host` is none of them was led here by someone else's name (DNS rebinding)."""

import re
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final

from jangteo.settings import LOOPBACK, InvalidSetting

ANY: Final = "*"
_REMEMBERED_MAX: Final = 1_000
_NAME: Final = re.compile(r"(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*|\[?[0-9a-f:.]+\]?")
_HOST: Final = re.compile(r"(?P<name>\[[^\[\]]*\]|[^:\[\]]*)(?::[0-9]*)?")


class InvalidHost(InvalidSetting):
    """A text is no name of a server; the message is one line for the operator."""


class Hosts:
    """Which hosts are this server's."""

    def __init__(self, names: Iterable[str], *, listens_on: str) -> None:
        """`names` may begin with `*.` for all names below, and `*` is any host. Raises InvalidHost.

        A server that listens on loopback has loopback's names besides. Any other one without `names` has every address,
        and every name without a dot: an attacker can have neither of them lead here.
        """
        self._names = {_read_name(name) for name in names}
        self._on_loopback = listens_on in LOOPBACK
        self._takes_local = not self._names and not self._on_loopback
        self._is_own: dict[bytes, bool] = {}
        """What was found before, by the header's value."""

    def has(self, host: bytes) -> bool:
        """Return whether the value of a header `Host` is one of this server's; its port doesn't count."""
        known = self._is_own.get(host)
        if known is None:
            if len(self._is_own) >= _REMEMBERED_MAX:
                self._is_own.clear()
            known = self._is_own[host] = self._decide(host)
        return known

    def _decide(self, host: bytes) -> bool:
        parts = _HOST.fullmatch(host.decode("latin-1").lower())
        if parts is None:
            return False
        name = parts["name"].strip("[]").removesuffix(".")
        if ANY in self._names or name in self._names or (self._on_loopback and _is_loopback(name)):
            return True
        if self._takes_local:
            return bool(name) and ("." not in name or _is_address(name))
        return any(f"*.{parent}" in self._names for parent in _parents(name))


def _read_name(text: str) -> str:
    name = text.lower()
    if name != ANY and not _NAME.fullmatch(name):
        raise InvalidHost(f"--allowed-host {text!r} is no name: write shop.example.com, *.example.com or an address")
    return name.strip("[]")


def _parents(name: str) -> Iterable[str]:
    while "." in name:
        name = name.partition(".")[2]
        yield name


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _is_loopback(name: str) -> bool:
    return name in LOOPBACK or (_is_address(name) and ip_address(name).is_loopback)
