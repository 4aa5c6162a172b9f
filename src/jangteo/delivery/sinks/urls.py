"""Platform URLs: their parts."""

import re
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from jangteo.delivery.sinks.base import InvalidPlatform
from jangteo.url_secrets import is_torn

_HOST: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s:\[\]@/,%]+)(?::(?P<port>[0-9]{1,5}))?")
_HIGHEST_PORT: Final = 65_535


class Host(NamedTuple):
    """A host, IPv6 in brackets, and its port if the URL has one."""

    name: str
    port: int | None

    def __str__(self) -> str:
        return self.name if self.port is None else f"{self.name}:{self.port}"


@dataclass(frozen=True, slots=True)
class Address:
    """A URL's parts. User and password are decoded; path (without its slash) and query are as written."""

    kind: str
    hosts: tuple[Host, ...]
    path: str
    query: str
    user: str | None = field(repr=False)
    password: str | None = field(repr=False)

    @property
    def only_host(self) -> Host:
        """The host, for a kind of platform with just one. Raises InvalidPlatform."""
        if len(self.hosts) > 1:
            raise InvalidPlatform(f"the platform {self.kind}:// has one host, not {len(self.hosts)}")
        return self.hosts[0]

    def options(self, known: frozenset[str]) -> dict[str, str]:
        """Return the query's parameters. Raises InvalidPlatform if one is unknown or occurs twice."""
        options: dict[str, str] = {}
        for name, value in parse_qsl(self.query, keep_blank_values=True):
            if name not in known:
                raise InvalidPlatform(f"the platform {self.kind}:// doesn't know one of the parameters; {_list(known)}")
            if name in options:
                raise InvalidPlatform(f"the platform's parameter {name} is there twice")
            options[name] = value
        return options


def parse_address(url: str) -> Address:
    """Parse `KIND://[USER[:PASSWORD]@]HOST[:PORT][,…][/PATH][?QUERY]`.

    Each host may repeat the credentials, but they must be the same. Raises InvalidPlatform, which never quotes what may
    be part of a password.
    """
    kind = url.partition(":")[0]
    try:
        parts = urlsplit(url)
    except ValueError:
        # The message of urlsplit may quote the password.
        raise InvalidPlatform(f"the platform {kind}:// is no URL") from None
    split_hosts = [host.rpartition("@") for host in parts.netloc.split(",")]
    credentials = {before for before, at, _ in split_hosts if at}
    if len(credentials) > 1:
        raise InvalidPlatform(
            f"the platform {kind}:// has several users: its hosts must share one (a comma is written %2C)"
        )
    hosts = tuple(_host(kind, host) for _, _, host in split_hosts)
    if is_torn(url):
        raise InvalidPlatform(f"the platform {kind}:// has credentials with special characters: write each as %XX")
    user, password = _credentials(next(iter(credentials), None))
    return Address(
        kind=parts.scheme,
        hosts=hosts,
        path=parts.path.removeprefix("/"),
        query=parts.query,
        user=user,
        password=password,
    )


def _list(known: frozenset[str]) -> str:
    return f"it knows {', '.join(sorted(known))}" if known else "it knows none"


def _credentials(text: str | None) -> tuple[str | None, str | None]:
    if text is None:
        return None, None
    user, has_password, password = text.partition(":")
    return unquote(user), unquote(password) if has_password else None


def _host(kind: str, text: str) -> Host:
    if not text or text.startswith(":"):
        raise InvalidPlatform(f"the platform {kind}:// needs a host")
    found = _HOST.fullmatch(text)
    port = int(found["port"]) if found and found["port"] else None
    if not found or (port is not None and not 0 < port <= _HIGHEST_PORT):
        # The text isn't quoted: it may be a piece of a password that isn't percent-encoded.
        raise InvalidPlatform(
            f"the platform {kind}:// must name its host as HOST or HOST:PORT, with a port up to 65535"
        )
    return Host(found["host"], port)
