"""Finds out whether a pooler hands a session's transactions to changing backends; Jangteo can't work behind one.

Jangteo sets up each connection once: durable commits, timeouts, prepared statements. In transaction mode a pooler runs
the next transaction on whatever backend is free, which has none of that. Nothing in the protocol says so, but the
backends' process ids do.
"""

from contextlib import closing
from typing import Final

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.errors import ProtocolViolation

from jangteo.storage.errors import CannotOpen
from jangteo.storage.port import Row
from jangteo.storage.postgres.connecting import POOLED, cut_after, open_raw

_TIMEOUT_S: Final = 5.0
"""How long connecting and all answers may each take: only a pooler without a free session takes that long."""
_NO_SECOND_SESSION: Final = (
    f"the database's URL leads to a pooler that gave no second session within {_TIMEOUT_S:g} s: let its pool have as "
    "many connections as docs/operations.md counts, or connect to the server directly"
)


def refuse_moving_backend(first: psycopg.Connection[Row], url: str) -> None:
    """Raise CannotOpen if a session to the URL changes its backend between transactions. `first` is such a session.

    Takes one more connection for a few round trips, and seconds at most, whatever the pooler does. Raises the driver's
    errors.
    """
    with cut_after(first, _TIMEOUT_S):
        first_id = _backend_id(first)
    try:
        with (
            closing(_connect_beside(first, url)) as second,
            # The second is given up before the first: cut first, its backend would go to the second, as if it moved.
            cut_after(first, 2 * _TIMEOUT_S),
            cut_after(second, _TIMEOUT_S),
        ):
            moving = _is_moving(first, first_id, second)
    except ProtocolViolation:
        # PgBouncer's answer to BEGIN in statement mode.
        moving = True
    except psycopg.Error:
        # Poolers greet a session with a process id of their own making.
        if first.info.backend_pid != first_id:
            raise CannotOpen(_NO_SECOND_SESSION) from None
        if first.closed:
            raise
        # The server has no room for a second session, which is no pooler's fault.
        return
    if moving:
        raise CannotOpen(POOLED)


def _connect_beside(first: psycopg.Connection[Row], url: str) -> psycopg.Connection[Row]:
    """Connect to the same host. What else a connection is set up with would already wait for a backend."""
    info = first.info
    conninfo = make_conninfo(url, host=info.host, hostaddr=info.hostaddr, port=info.port, target_session_attrs="any")
    return open_raw(conninfo, _TIMEOUT_S)


def _is_moving(first: psycopg.Connection[Row], first_id: int, second: psycopg.Connection[Row]) -> bool:
    """Whether the sessions share a backend, or one of them changes its own.

    A pooler that prefers the backend used last shows it while the second session has a transaction open, one that takes
    them in rotation after it. Nothing more is sent once it is clear: with a pool of one, the first session would wait.
    """
    second.execute("BEGIN")
    second_id = _backend_id(second)
    if second_id == first_id or _backend_id(first) != first_id:
        return True
    second.execute("ROLLBACK")
    return _backend_id(second) != second_id or _backend_id(first) != first_id


def _backend_id(raw: psycopg.Connection[Row]) -> int:
    return int(raw.execute("SELECT pg_backend_pid()", prepare=False).fetchall()[0][0])
