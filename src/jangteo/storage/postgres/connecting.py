"""Connecting to the server that can be written, of one or several hosts.

The hosts are tried side by side, so that one that stands still doesn't delay the others; the host of the last good
connection gets a head start. Attempts go on in the background until they are used or given up, since nobody waits for
them longer than CONNECT_WAIT_S at a time.
"""

import os
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from socket import SHUT_RDWR, socket
from threading import Event, Thread, Timer
from time import monotonic
from typing import Final

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from jangteo.foreign_text import one_line
from jangteo.storage.port import Row
from jangteo.storage.postgres.pipeline import Pipeline
from jangteo.storage.postgres.session_settings import state_settings

CONNECT_WAIT_S: Final = 1.0
"""How long one call waits for a connection; the attempts go on for the next call."""
ATTEMPT_TIMEOUT_S: Final = 5
"""How long a host may take to accept a connection."""
HEAD_START_S: Final = 0.2
"""How much earlier the host of the last good connection is tried than the others."""
RETRY_PAUSE_S: Final = 0.25
"""The pause before a host that refused is tried again."""
STANDBY: Final = (
    "the server is a standby and can't be written: name the primary, or all hosts as postgresql://USER@HOST,HOST/NAME"
)
POOLED: Final = (
    "a pooler in transaction (or statement) mode passes this session's statements on to changing server processes; "
    "set it to session mode, or connect to the server directly"
)
_LISTS: Final = ("host", "hostaddr", "port")
_last_good: dict[str, int] = {}
"""By URL: the index of the host of the last good connection of this process."""


def hosts_of(url: str) -> list[str]:
    """Return a connection string for each host of a URL, in its order. Raises psycopg.ProgrammingError."""
    named = conninfo_to_dict(url)
    lists = {name: str(named[name]).split(",") for name in _LISTS if named.get(name)}
    count = max((len(values) for values in lists.values()), default=1)
    # Which server can be written is found out here: a role whose default is read-only would mislead the library.
    if named.get("target_session_attrs") in ("read-write", "primary"):
        named["target_session_attrs"] = "any"
    return [make_conninfo("", **{**named, **_at(lists, index)}) for index in range(count)]


def _at(lists: Mapping[str, list[str]], index: int) -> dict[str, str]:
    # One port stands for all hosts.
    return {name: values[index if len(values) > 1 else 0] for name, values in lists.items()}


def open_raw(conninfo: str, timeout_s: float = ATTEMPT_TIMEOUT_S) -> psycopg.Connection[Row]:
    """Connect, with explicit transactions and the server's own settings. Raises the driver's errors."""
    try:
        raw: psycopg.Connection[Row] = psycopg.connect(
            conninfo,
            autocommit=True,
            connect_timeout=max(round(min(timeout_s, ATTEMPT_TIMEOUT_S)), 1),
            application_name="jangteo",
            client_encoding="UTF8",
            # A broken network is noticed within seconds, not within hours.
            keepalives_idle=5,
            keepalives_interval=2,
            keepalives_count=3,
            tcp_user_timeout=10_000,
        )
    except psycopg.errors.ConnectionTimeout as error:
        # The library leaves the socket to the garbage collector. A server that stood still would wait for it for a
        # minute (authentication_timeout) before it could shut down and follow the new primary.
        traceback.clear_frames(error.__traceback__)
        raise
    return raw


@contextmanager
def cut_after(raw: psycopg.Connection[Row], timeout_s: float) -> Iterator[None]:
    """Cut the connection if the block takes longer: for waits of the library, which have no timeout of their own."""
    with socket(fileno=os.dup(raw.fileno())) as duplicate:
        timer = Timer(timeout_s, _cut, [duplicate])
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


def _cut(connection: socket) -> None:
    with suppress(OSError):
        connection.shutdown(SHUT_RDWR)


class Attempts:
    """The attempts to connect to a writable server of a URL, each host by a thread of its own."""

    def __init__(self, url: str, timeout_s: float) -> None:
        """Statements of the connection are waited for up to `timeout_s`."""
        self._url = url
        self._timeout_s = timeout_s
        self._hosts = hosts_of(url)
        self._over = Event()
        self._given_up_at = monotonic() + max(timeout_s, ATTEMPT_TIMEOUT_S)
        self._results: SimpleQueue[tuple[int, Pipeline | Exception]] = SimpleQueue()
        first = _last_good.get(url, 0)
        for index, conninfo in enumerate(self._hosts):
            head_start_s = 0.0 if index == first else HEAD_START_S
            Thread(target=self._try, args=(index, conninfo, head_start_s), name="connect", daemon=True).start()

    @property
    def over(self) -> bool:
        """Whether these attempts have ended."""
        return self._over.is_set()

    def wait(self, wait_s: float = CONNECT_WAIT_S) -> Pipeline:
        """Return the first connection to a writable server.

        Raises the driver's error once every host has refused, or after `wait_s`; call it again to wait on.
        """
        give_up_at = monotonic() + wait_s
        errors: dict[int, Exception] = {}
        while len(errors) < len(self._hosts):
            try:
                index, result = self._results.get(timeout=max(give_up_at - monotonic(), 0))
            except Empty:
                break
            if isinstance(result, Pipeline):
                self.end()
                _last_good[self._url] = index
                return result
            errors[index] = result
        raise psycopg.OperationalError(_reason(errors, len(self._hosts)))

    def end(self) -> None:
        """End all attempts; connections that nobody waits for any more are closed."""
        self._over.set()
        with suppress(Empty):
            while True:
                _, result = self._results.get_nowait()
                if isinstance(result, Pipeline):
                    result.close()

    def _try(self, index: int, conninfo: str, head_start_s: float) -> None:
        self._over.wait(head_start_s)
        while not self._over.is_set():
            try:
                result: Pipeline | Exception = _open(conninfo, self._timeout_s)
            except Exception as error:  # noqa: BLE001 - whatever it is, it goes to whoever waits
                result = error
            self._results.put((index, result))
            if isinstance(result, Pipeline):
                break
            self._over.wait(RETRY_PAUSE_S)
            if monotonic() > self._given_up_at:
                # Nobody has waited for a while, or a new attempt should look up the hosts' names again.
                self._over.set()
        if self._over.is_set():
            # Another host was faster, or nobody waits any more.
            self.end()


def _open(conninfo: str, timeout_s: float) -> Pipeline:
    """Connect to one host. Raises the driver's errors, also where the server can't be written."""
    pipeline = Pipeline(open_raw(conninfo, timeout_s), timeout_s)
    try:
        is_standby = state_settings(pipeline)
    except BaseException:
        pipeline.close()
        raise
    if is_standby:
        pipeline.close()
        raise psycopg.OperationalError(STANDBY)
    return pipeline


def _reason(errors: Mapping[int, Exception], hosts: int) -> str:
    reasons = dict.fromkeys(one_line(str(error)) for error in errors.values())
    if len(errors) < hosts:
        reasons["no answer yet" if hosts == 1 else f"no answer yet from {hosts - len(errors)} of {hosts} hosts"] = None
    return "; ".join(reasons)
