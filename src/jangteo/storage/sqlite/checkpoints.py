"""The write-ahead log of a SQLite shop, folded into the database beside the commits instead of within one of them.

A thread with a connection of its own folds what is there, which holds up neither commits nor reads. Where commits and
readers are always there the log would still never be begun anew; so once it is long, a commit sees to that. By then
nearly all of it is folded, and it takes a moment.
"""

import sqlite3
from collections.abc import Callable
from threading import Event, Thread
from typing import Final

import structlog

from jangteo.storage.sqlite.statements import set_busy_timeout

log = structlog.get_logger()

CHECKPOINT_AFTER_CHANGES: Final = 20_000
"""So many changed rows are folded at once: about 2,000 orders, 20 MiB of log."""
RESTART_AT_PAGES: Final = 32_000
"""At 128 MiB the log is begun anew."""
RESTART_TIMEOUT_MS: Final = 50


class Checkpointer:
    """Keeps one database's log short; used by whoever commits."""

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._checkpointed_changes = 0
        self._due = Event()
        self._wal_is_long = False
        self._closing = False
        self._thread: Thread | None = None

    def after_commit(self, raw: sqlite3.Connection) -> None:
        """Have the log folded when enough has changed, and begun anew when it is long. Never raises."""
        if raw.total_changes - self._checkpointed_changes >= CHECKPOINT_AFTER_CHANGES:
            self._checkpointed_changes = raw.total_changes
            if self._thread is None:
                self._thread = Thread(target=self._run, name="fold-log", daemon=True)
                self._thread.start()
            self._due.set()
        if self._wal_is_long:
            self._wal_is_long = False
            self._restart_wal(raw)

    def close(self) -> None:
        """End the thread; the last connection to close folds what is left."""
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
            except sqlite3.Error as error:
                # The commits stand without it; it is tried again after the next ones.
                log.warning("log not folded", reason=str(error))
        if raw is not None:
            raw.close()

    def _restart_wal(self, raw: sqlite3.Connection) -> None:
        timeout_ms = raw.execute("PRAGMA busy_timeout").fetchone()[0]
        try:
            # Waits for the readers of this moment, but not for long: the next commit waits meanwhile.
            raw.execute(set_busy_timeout(RESTART_TIMEOUT_MS))
            raw.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
            raw.execute(set_busy_timeout(timeout_ms))
        except sqlite3.Error as error:
            log.warning("log not begun anew", reason=str(error))
