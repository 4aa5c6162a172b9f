"""The settings of a server, as one frozen value; set by command line options and `JANGTEO_…` variables."""

from dataclasses import dataclass, field
from typing import Final, Literal

DEFAULT_DATABASE: Final = "sqlite:///shop.db"
DATABASE_VARIABLE: Final = "JANGTEO_DATABASE"
"""Passes the URL, with its password, to the writer process: every user of the machine can read command lines."""
LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True)
class Settings:
    """The settings of one server."""

    database: str = field(default=DEFAULT_DATABASE, repr=False)
    platform: str | None = field(default=None, repr=False)
    """The URL of the platform that events are sent to; None: a file beside the database."""
    platform_secret: str | None = field(default=None, repr=False)
    """The secret that signs events sent over HTTP."""
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
