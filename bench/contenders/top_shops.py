"""The shops in which the best sellers are measured: made once, kept where that is wanted, and copied for what sells."""

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from time import monotonic, sleep
from typing import ClassVar, Final

from bench import sold
from bench.contenders import shops
from bench.contenders.postgres import Postgres
from bench.loads.load import CannotMeasure
from jangteo.app import system_clock
from jangteo.storage.best_sellers.audit import audit_best_sellers
from jangteo.storage.best_sellers.refresh import plan_refresh
from jangteo.storage.port import Connection
from jangteo.storage.urls import open_storage

_NEW_FOR: Final = timedelta(minutes=10)
_QUIET_WITHIN_S: Final = 120
_LOOK_EVERY_S: Final = 0.1


class Place(ABC):
    """Makes and copies shops on one database."""

    kind: ClassVar[str]

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell

    def shop(self, lines: int) -> str:
        """Make a shop with so many order lines within the last three days, or move an earlier one to now."""

        def tell(text: str) -> None:
            self._tell(f"{self.kind}, {lines:,} lines: {text}")

        if not self._has(lines):
            tell("making a shop")
            sold.make(self._begin(lines), lines, tell)
            self._finish(lines)
        url = self._url(lines)
        sold.bring_up_to_now(url, _NEW_FOR, tell)
        self._settle(url)
        return url

    @abstractmethod
    def copy(self, lines: int, name: str) -> str:
        """Make a copy of the shop with so many lines, to be removed."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove a copy."""

    @abstractmethod
    def _has(self, lines: int) -> bool: ...

    @abstractmethod
    def _url(self, lines: int) -> str: ...

    @abstractmethod
    def _begin(self, lines: int) -> str: ...

    @abstractmethod
    def _finish(self, lines: int) -> None: ...

    @abstractmethod
    def _settle(self, url: str) -> None: ...


class InSqlite(Place):
    """Files; copies are in a folder of their own."""

    kind = "SQLite"

    def __init__(self, folder: Path, copies: Path, tell: Callable[[str], None]) -> None:
        super().__init__(tell)
        self._folder = folder.absolute()
        self._copies = copies.absolute()

    def copy(self, lines: int, name: str) -> str:
        """Copy the file with what is still in its write-ahead log."""
        path = self._copies / f"{name}.db"
        with closing(sqlite3.connect(self._file(lines))) as one, closing(sqlite3.connect(path)) as other:
            one.backup(other)
        return f"sqlite:///{path}"

    def remove(self, name: str) -> None:
        """Remove the file and those beside it."""
        _remove(self._copies / f"{name}.db")

    def _has(self, lines: int) -> bool:
        return self._file(lines).exists()

    def _url(self, lines: int) -> str:
        return f"sqlite:///{self._file(lines)}"

    def _begin(self, lines: int) -> str:
        _remove(self._unfinished(lines))
        return f"sqlite:///{self._unfinished(lines)}"

    def _finish(self, lines: int) -> None:
        self._unfinished(lines).rename(self._file(lines))
        _remove(self._unfinished(lines))

    def _settle(self, url: str) -> None:
        pass

    def _file(self, lines: int) -> Path:
        return self._folder / f"top-{lines}.db"

    def _unfinished(self, lines: int) -> Path:
        return self._folder / f"unfinished-{lines}.db"


class InPostgres(Place):
    """Databases of one server."""

    kind = "PostgreSQL"

    def __init__(self, postgres: Postgres, tell: Callable[[str], None]) -> None:
        super().__init__(tell)
        self._postgres = postgres

    def copy(self, lines: int, name: str) -> str:
        """Have the server copy the database."""
        self._postgres.drop(name)
        url = self._postgres.create(name, f"top_{lines}")
        self._settle(url)
        return url

    def remove(self, name: str) -> None:
        """Drop the database, and its connections."""
        self._postgres.drop(name)

    def _has(self, lines: int) -> bool:
        return self._postgres.has(f"top_{lines}")

    def _url(self, lines: int) -> str:
        return self._postgres.url(f"top_{lines}")

    def _begin(self, lines: int) -> str:
        self._postgres.drop(f"unfinished_{lines}")
        return self._postgres.create(f"unfinished_{lines}")

    def _finish(self, lines: int) -> None:
        self._postgres.rename(f"unfinished_{lines}", f"top_{lines}")

    def _settle(self, url: str) -> None:
        self._postgres.sync(url.rpartition("/")[2])


def wait_until_refreshed(url: str) -> None:
    """Wait until no refresh is worth it for the server of this shop."""
    _wait(url, _nothing_to_refresh)


def wait_until_sent(url: str) -> None:
    """Wait until it has no events to send."""
    _wait(url, _nothing_to_send)


def check(url: str) -> shops.AuditResult:
    """Audit the best sellers only: the whole audit takes minutes in a shop with many orders."""
    connection = open_storage(url).connect()
    try:
        with connection.snapshot(system_clock()) as snapshot:
            _, wrong = audit_best_sellers(snapshot)
    finally:
        connection.close()
    return shops.AuditResult(not wrong, "\n".join(wrong))


def _nothing_to_refresh(connection: Connection) -> bool:
    with connection.snapshot(system_clock()) as snapshot:
        return plan_refresh(snapshot, frozenset()) is None


def _nothing_to_send(connection: Connection) -> bool:
    with connection.snapshot(system_clock()) as snapshot:
        return not snapshot.rows("SELECT id FROM event_batches WHERE sent_at IS NULL LIMIT 1")


def _wait(url: str, is_quiet: Callable[[Connection], bool]) -> None:
    end = monotonic() + _QUIET_WITHIN_S
    connection = open_storage(url).connect()
    try:
        while not is_quiet(connection):
            if monotonic() > end:
                raise CannotMeasure(f"a shop is still busy {_QUIET_WITHIN_S} s after its load")
            sleep(_LOOK_EVERY_S)
    finally:
        connection.close()


def _remove(path: Path) -> None:
    for ending in ("", "-wal", "-shm", ".lock", ".relay.lock"):
        Path(f"{path}{ending}").unlink(missing_ok=True)
