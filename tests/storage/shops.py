"""A small shop for tests of events: orders at times of the test's choice, one event batch per batch of commands."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from jangteo.core.book import Command
from jangteo.core.orders import CancelOrder, PlaceOrder, RequestedItem
from jangteo.core.products import AddProduct
from jangteo.core.relay import MarkSent
from jangteo.core.wallets import ChargeBalance, RegisterUser
from jangteo.engine.batch import Failed, Submission, commit
from jangteo.storage.audit import findings
from jangteo.storage.port import Row
from jangteo.storage.urls import open_storage

Result = TypeVar("Result")
OPENED = datetime(2026, 11, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def order(user: int = 1) -> PlaceOrder:
    """Each user orders the product of the same number, so that users don't compete for stock."""
    return PlaceOrder(user, (RequestedItem(user, 1),), None)


class Shop:
    """Three users with money, three products, and a connection to their database."""

    def __init__(self, database: str) -> None:
        self.database = database
        self._connection = open_storage(database).connect()

    def set_up(self) -> None:
        self.do(*(RegisterUser(None) for _ in range(3)), *(AddProduct("rice", 1, 10_000) for _ in range(3)))
        self.do(*(ChargeBalance(user, 1_000_000) for user in (1, 2, 3)))

    def do(self, *commands: Command, at: datetime = OPENED) -> list[Any]:
        """Commits one batch and returns the outcomes; none may have failed."""
        outcomes = commit(self._connection, [Submission(command) for command in commands], lambda: at).outcomes
        assert not any(isinstance(each, Failed) for each in outcomes), outcomes
        return [each.value() for each in outcomes if not isinstance(each, Failed)]

    def order(self, count: int = 1, *, at: datetime = OPENED) -> list[int]:
        """Places orders of user 1 in one batch; returns their ids."""
        return [placed.order_id for placed in self.do(*(order() for _ in range(count)), at=at)]

    def cancel(self, *orders: int, at: datetime = OPENED) -> None:
        self.do(*map(CancelOrder, orders), at=at)

    def send(self, *event_batches: int, at: datetime = OPENED) -> None:
        self.do(MarkSent(event_batches), at=at)

    def look(self, read: Callable[..., Result], *arguments: Any, at: datetime = OPENED, **named: Any) -> Result:
        """Runs a query on a snapshot."""
        with self._connection.snapshot(at) as snapshot:
            return read(snapshot, *arguments, **named)

    def rows(self, sql: str) -> list[Row]:
        with self._connection.snapshot(OPENED) as snapshot:
            return snapshot.rows(sql)

    def change(self, *sql: str) -> None:
        """Changes rows by SQL, as no command does."""
        with self._connection.transaction() as session:
            for each in sql:
                session.run(each)

    def ids(self, table: str) -> list[int]:
        return [row[0] for row in self.rows(f"SELECT id FROM {table} ORDER BY id")]

    def wrong(self, at: datetime = OPENED) -> list[str]:
        """The violations that the audit finds."""
        with self._connection.snapshot(at) as snapshot:
            return [line for finding in findings(snapshot) for line in finding.broken]

    def close(self) -> None:
        self._connection.close()
