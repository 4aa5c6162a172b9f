"""Platform URLs: parsing them, and showing them without their secrets."""

import re
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from jangteo.delivery.sinks.base import InvalidPlatform

_HOST: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s:\[\]@/,%]+)(?::(?P<port>[0-9]{1,5}))?")
_HIGHEST_PORT: Final = 65_535
_HIDDEN: Final = "***"
_HARMLESS: Final = frozenset({"mechanism", "security"})
"""Query parameters whose values are shown; others may be secrets."""


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
    user, password = _credentials(next(iter(credentials), None))
    return Address(
        kind=parts.scheme,
        hosts=tuple(_host(kind, host) for _, _, host in split_hosts),
        path=parts.path.removeprefix("/"),
        query=parts.query,
        user=user,
        password=password,
    )


def shown_platform(url: str) -> str:
    """Return a platform's URL for logs and status lines: without password, token and the query's unknown values."""
    kind, has_hosts, rest = url.partition("://")
    if not has_hosts:
        return url
    location, _, query = rest.partition("#")[0].partition("?")
    authority = location.partition("/")[0]
    if "@" not in authority and _is_torn(authority) and "@" in rest:
        # A password with a slash or the like that is not percent-encoded looks like a part of the path.
        return f"{kind}://{_HIDDEN}@{rest.rpartition('@')[2]}"
    hosts = ",".join(_shown_host(kind, host) for host in authority.split(","))
    return f"{kind}://{hosts}{location[len(authority) :]}{_shown_query(query)}"


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


def _is_torn(authority: str) -> bool:
    return any(_HOST.fullmatch(host) is None for host in authority.split(","))


def _shown_host(kind: str, host: str) -> str:
    credentials, at, name = host.rpartition("@")
    if not at:
        # Perhaps a piece of a password with a comma in it.
        return name if _HOST.fullmatch(name) else _HIDDEN
    user, has_password, _ = credentials.partition(":")
    if has_password:
        return f"{user}:{_HIDDEN}@{name}"
    # For NATS, a user without a password is a token.
    return f"{_HIDDEN if kind in {'nats', 'tls'} else user}@{name}"


def _shown_query(query: str) -> str:
    if not query:
        return ""
    shown = []
    for pair in query.split("&"):
        name, has_value, value = pair.partition("=")
        # A parameter without a value may be a token.
        shown.append(f"{name}={value if name in _HARMLESS else _HIDDEN}" if has_value else _HIDDEN)
    return f"?{'&'.join(shown)}"
