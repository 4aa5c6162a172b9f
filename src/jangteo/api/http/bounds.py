"""What a client may take of a server: bytes, time and connections."""

import resource
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_CONNECTIONS_MAX: Final = 10_000
_CONNECTIONS_MIN: Final = 8
_BACKLOG_MAX: Final = 2_048
_DESCRIPTORS_WANTED: Final = 65_536
_DESCRIPTORS_RESERVED: Final = 64
"""For files, database connections and children that are opened later."""


@dataclass(frozen=True)
class Bounds:
    """The bounds of each connection."""

    body_max_bytes: int = 65_536
    """The largest body of most paths."""
    body_max_bytes_by_path: Mapping[str, int] = field(default_factory=dict)
    """The largest body of the other paths."""
    large_bodies_max_bytes: int = 64 * 2**20
    """How much all bodies larger than most paths' may take together, in one process."""
    overhead_max_bytes: int = 65_536
    """The most bytes of a request besides its body: head, chunk sizes and extensions, trailers."""
    target_max_bytes: int = 8_192
    """The longest request target (path and query)."""
    arrival_timeout_s: float = 10.0
    """How long a request may take to arrive, from its first byte; the first one of a connection, from connecting."""
    keep_alive_timeout_s: float = 60.0
    """How long a connection may wait for its next request."""
    sending_timeout_s: float = 20.0
    """How long a client may read nothing of an answer."""
    closing_timeout_s: float = 2.0
    """How long what a refused client still sends is read and dropped, so that it gets to see its answer."""


@dataclass(frozen=True)
class Capacity:
    """How many connections a process may have."""

    connections: int
    backlog: int
    """How many more may wait to be accepted. They are accepted all at once, so each has its descriptor reserved."""


def capacity() -> Capacity:
    """Return how many connections the descriptors of this process allow; its limit is raised first, if it may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and (hard == resource.RLIM_INFINITY or hard > soft):
        soft = max(soft, _DESCRIPTORS_WANTED if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS_WANTED))
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY:
        return Capacity(_CONNECTIONS_MAX, _BACKLOG_MAX)
    return capacity_of(soft - _open_descriptors() - _DESCRIPTORS_RESERVED)


def capacity_of(descriptors: int) -> Capacity:
    """Divide the descriptors that are free between connections and those that wait to be accepted."""
    backlog = max(min(descriptors // 3, _BACKLOG_MAX), 1)
    return Capacity(max(min(descriptors - backlog, _CONNECTIONS_MAX), _CONNECTIONS_MIN), backlog)


def _open_descriptors() -> int:
    for folder in (Path("/proc/self/fd"), Path("/dev/fd")):
        if folder.is_dir():
            return sum(1 for _ in folder.iterdir())
    return _DESCRIPTORS_RESERVED
