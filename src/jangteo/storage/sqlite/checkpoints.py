"""WAL checkpoints of a SQLite shop, made beside the commits instead of by SQLite within one of them.

There are two tiers:

- PASSIVE: a thread with its own connection copies the write-ahead log (WAL) into the database file. It delays neither
  commits nor readers. It can't restart the WAL, though: as long as commits and readers overlap, the WAL file grows.
- RESTART: once the WAL is long, a commit is followed by a RESTART checkpoint on the committing connection. It waits for
  current readers, at most RESTART_TIMEOUT_MS, so that the next commit writes the WAL from its beginning. Nearly all of
  the WAL is copied by then, so it is short.
"""

import sqlite3
from collections.abc import Callable
from threading import Event, Thread
from typing import Final

import structlog

from jangteo.storage.errors import FileLost
from jangteo.storage.sqlite.statements import set_busy_timeout

log = structlog.get_logger()

CHECKPOINT_AFTER_CHANGES: Final = 20_000
"""Changed rows between two PASSIVE checkpoints: about 2,000 orders, 20 MiB of WAL."""
RESTART_AT_PAGES: Final = 32_000
"""Pages of WAL that call for a RESTART checkpoint: 128 MiB."""
RESTART_TIMEOUT_MS: Final = 50


class Checkpointer:
    """Keeps the WAL of one database short, on behalf of the connection that commits."""

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._checkpointed_changes = 0
        self._due = Event()
        self._wal_is_long = False
        self._closing = False
        self._thread: Thread | None = None

    def after_commit(self, raw: sqlite3.Connection) -> None:
        """Start a PASSIVE checkpoint after enough changes; make a RESTART one if the WAL is long. Never raises."""
        if raw.total_changes - self._checkpointed_changes >= CHECKPOINT_AFTER_CHANGES:
            self._checkpointed_changes = raw.total_changes
            if self._thread is None:
                self._thread = Thread(target=self._run, name="checkpoint", daemon=True)
                self._thread.start()
            self._due.set()
        if self._wal_is_long:
            self._wal_is_long = False
            self._restart_wal(raw)

    def close(self) -> None:
        """End the thread. SQLite checkpoints the rest when the last connection is closed."""
        self._checkpointed_changes = 0
        if self._thread is not None:
            self._closing = True
            self._due.set()
            self._thread.join()
            self._thread = None
            self._closing = False

    def _run(self) -> None:
        raw: sqlite3.Connection | None = None
        while self._due.wait() and not self._closing:
            self._due.clear()
            try:
                raw = raw or self._connect()
                _, pages, _ = raw.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
                self._wal_is_long = pages >= RESTART_AT_PAGES
            except (sqlite3.Error, FileLost) as error:
                # Commits are durable without it; the next one that is due tries again.
                log.warning("checkpoint failed", mode="PASSIVE", reason=str(error))
        if raw is not None:
            raw.close()

    def _restart_wal(self, raw: sqlite3.Connection) -> None:
        timeout_ms = raw.execute("PRAGMA busy_timeout").fetchone()[0]
        try:
            # A short timeout, since the next commit waits meanwhile.
            raw.execute(set_busy_timeout(RESTART_TIMEOUT_MS))
            raw.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
            raw.execute(set_busy_timeout(timeout_ms))
        except sqlite3.Error as error:
            log.warning("checkpoint failed", mode="RESTART", reason=str(error))
