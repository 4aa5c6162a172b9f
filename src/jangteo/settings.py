"""What an operator may set, as one frozen value. The command line's options and `JANGTEO_…` variables fill it."""

from dataclasses import dataclass
from typing import Final, Literal

DEFAULT_DATABASE: Final = "sqlite:///shop.db"
DATABASE_VARIABLE: Final = "JANGTEO_DATABASE"
"""Where a server's writer finds the URL: a command line could be read by anyone on the machine."""
LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True)
class Settings:
    """One running shop. Counts are of commands, questions or bytes, as the name says."""

    database: str = DEFAULT_DATABASE
    platform: str | None = None
    """Where events go; None: a file beside the database."""
    platform_secret: str | None = None
    """Signs what goes to a platform over HTTP."""
    relay: bool = True
    """Whether events are sent from here; fallback by a relay of its own."""
    keep_events_days: float = 7
    """So long an event is kept after it was sent."""
    host: str = "127.0.0.1"
    port: int = 8000
    demo: bool = False
    batch_max: int = 256
    """Commands in one transaction, at most."""
    queue_max: int = 10_000
    """Commands waiting or being committed, at most; beyond it the answer is 503. The same for questions."""
    writer: Literal["process", "thread"] = "process"
    """Where batches are committed."""
    writers: int = 1
    """How many commit at once; SQLite takes one."""
    readers: int = 1
    """Threads that answer quick questions; one more answers those that take long."""
    body_max_bytes: int = 65_536
    """The largest request body; an order of 100 lines takes about 4,500."""
