"""The settings of a server, as one frozen value; set by command line options and `JANGTEO_…` variables."""

from dataclasses import dataclass, field
from typing import Final, Literal

DEFAULT_DATABASE: Final = "sqlite:///shop.db"
DATABASE_VARIABLE: Final = "JANGTEO_DATABASE"
"""Passes the URL, with its password, to the writer process: every user of the machine can read command lines."""
LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


class InvalidSetting(Exception):
    """A setting is not as documented; the message is one line for the operator."""


@dataclass(frozen=True)
class Settings:
    """The settings of one server."""

    database: str = field(default=DEFAULT_DATABASE, repr=False)
    platform: str | None = field(default=None, repr=False)
    """The URL of the platform that events are sent to; None: a file beside the database."""
    platform_secrets: tuple[str, ...] = field(default=(), repr=False)
    """The secrets that sign events sent over HTTP: several while one is replaced by the next."""
    relay: bool = True
    """Whether this server sends events; otherwise a separate `jangteo relay` does."""
    keep_events_days: float = 7
    """The retention of events: days from when they were sent."""
    host: str = "127.0.0.1"
    port: int = 8000
    access: Literal["open", "keys"] = "open"
    """Whether anyone may make every call, or only callers whom the door admits."""
    public_reads: bool = True
    """Whether products and campaigns may be read without a key or a token."""
    customers_cancel: bool = True
    """Whether customers may cancel their own orders."""
    drain_s: int = 0
    """How long a server that gets SIGTERM still answers while it is not ready."""
    demo: bool = False
    batch_max: int = 256
    """The most commands in one transaction, and the most queries answered from one snapshot."""
    queue_max: int = 10_000
    """The most unanswered commands, and the most unanswered queries of each cost; beyond it requests get 503."""
    writer: Literal["process", "thread"] = "process"
    """What commits batches."""
    writers: int = 1
    """How many writers commit at once; SQLite allows one."""
    readers: int = 1
    """Threads that answer point queries; queries of each other cost have one."""
    database_timeout_s: float = 10.0
    """How long one answer of the database is waited for; then clients get 503."""
    hold_s: float = 5.0
    """How long commands and queries wait while the database can't be reached, before clients get 503.

    At most `database_timeout_s`.
    """
    body_max_bytes: int = 65_536
    """The largest request body; an order of 100 items takes about 4,500."""
    allowed_hosts: tuple[str, ...] = ()
    """The names by which clients may call this server: see `api.access.hosts.Hosts`."""
    allowed_origins: tuple[str, ...] = ()
    """The origins whose pages may call this server from a browser."""
    trusted_proxies: tuple[str, ...] = ()
    """The networks of the proxies that say where requests come from."""
    rates: tuple[str, ...] = ()
    """How many requests a caller may send: see `api.access.rate.read_rates`."""
    customers_jwks: str | None = None
    """The file or URL of the public keys of the identity provider whose tokens customers have."""
    customers_issuer: str | None = None
    """What these tokens have as `iss`."""
    customers_audience: str | None = None
    """What these tokens have as `aud`."""
    customers_claim: str = "sub"
    """Which claim of these tokens is the user's id."""
    tls_certificate: str | None = None
    """The file of the certificate, with those between it and the authority's; None: plain HTTP."""
    tls_key: str | None = None
    """The file of the certificate's key."""
