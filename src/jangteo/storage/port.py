"""The port: the interface that both databases implement, as narrow as their differences allow.

SQL is written once for both, with `:named` values. `IN (:ids)` binds a collection of ids; `find`, `lock` and `lines` of
a session or snapshot accept it.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Generic, Literal, NamedTuple, Protocol, TypeVar

from sqlalchemy import Table

from jangteo.storage.diagnosis import Diagnosis

DATABASE_TIMEOUT_S: Final = 10.0
"""How long one answer of the database is waited for, where a client waits for it."""
LONG_TIMEOUT_S: Final = 600.0
"""How long one answer is waited for in work that reads or writes everything."""

Value = int | str | None
Row = tuple[Any, ...]
Answer = TypeVar("Answer", covariant=True)

Cost = Literal["point", "page", "batch", "aggregate", "scan", "sweep"]
"""What a query costs. Each cost has its own worker pool, so a quick query never waits behind a slow one.

- point: a few rows by key
- page: a list
- batch: thousands of rows, in a loop whose latency matters (the relay)
- aggregate: sums over up to thousands of rows
- scan: all orders of a window
- sweep: all orders in chunks, for minutes
"""


@dataclass(frozen=True)
class Insert:
    """An insert into one table."""

    table: Table
    columns: tuple[str, ...]
    """The columns of a row, in the order of its values."""


@dataclass(frozen=True)
class GuardedChange:
    """An update of rows by id. With `guards` it only finds rows as they were loaded, and finding fewer is a Conflict.

    A row's values are: the new values of `set_columns`, the id, the loaded values of `guards`.
    """

    table: Table
    set_columns: tuple[str, ...]
    guards: tuple[str, ...]
    """The columns that must still have their loaded values; none: the change is not guarded."""


class TableIds(NamedTuple):
    """A table's ids: the last one given, whether or not it was used, and the largest in the table; 0 for none."""

    table: str
    last_id: int
    largest_id: int

    @property
    def is_behind(self) -> bool:
        """Whether ids will be given that are taken."""
        return self.last_id < self.largest_id


class Snapshot(Protocol):
    """One consistent view of the database, for reading."""

    @property
    def now(self) -> datetime:
        """The timestamp that the snapshot was opened with."""

    @property
    def connection_id(self) -> int:
        """Identifies the open database connection: a new number after each reconnect."""

    def rows(self, sql: str, **values: Value) -> list[Row]:
        """Run a statement and fetch its rows."""

    def send(self, sql: str, **values: Value) -> Iterable[Row]:
        """Send a statement; its rows may be awaited only when they are iterated, together with others sent before."""

    def find(self, sql: str, ids: Collection[int]) -> Iterable[Row]:
        """Send a query by ids; see `send`."""

    def look_up(self, sql: str, key: int) -> Iterable[Row]:
        """Send a query by one id (`IN (:ids)`), which selects that id first; see `send`.

        Equal queries for other ids that are sent before any rows are iterated may go with it, as one statement.
        """

    def finish(self) -> None:
        """Await all rows that were asked for. No more are asked for after this, only those are iterated."""

    def lines(self, sql: str, ids: Collection[int]) -> str:
        """Fetch texts by ids, one per line, in order of id. The query selects `id` and `text`, which has no newline."""

    def counted_ids(self) -> Sequence[TableIds]:
        """Fetch what new ids continue after, for each table whose ids are counted."""


class Session(Protocol):
    """One transaction, for loading and writing a batch."""

    def rows(self, sql: str, **values: Value) -> list[Row]:
        """Run a statement and fetch its rows."""

    def constant(self, sql: str) -> list[Row]:
        """Fetch rows that never change; each connection runs the statement once."""

    def find(self, sql: str, ids: Collection[int] | Collection[str]) -> Iterable[Row]:
        """Send a query by ids or keys; its rows may be awaited only when they are iterated."""

    def lock(self, table: Table, sql: str, ids: Collection[int]) -> Iterable[Row]:
        """Send a query by ids that locks the rows of the table: no other transaction changes them before this one ends.

        Its rows may be awaited only when they are iterated.
        """

    def new_ids(self, counts: Mapping[Table, int]) -> Mapping[Table, Iterable[int]]:
        """Reserve ids for new rows, as many as `counts` says for each table; no other transaction gets them."""

    def insert(self, insert: Insert, rows: Sequence[Row]) -> None:
        """Insert rows, all at once."""

    def import_rows(self, insert: Insert, rows: Sequence[Row]) -> None:
        """Write many rows of another database with the ids they have; new ids continue after the largest."""

    def change(self, change: GuardedChange, rows: Sequence[Row]) -> None:
        """Change rows, all at once. This or the commit raises Conflict if a guarded row is not as it was loaded."""

    def remove(self, table: Table, ids: Collection[int]) -> None:
        """Delete rows by their ids."""

    def delete(self, table: Table, sql: str, **values: Value) -> None:
        """Delete the rows whose keys a query selects, except those that other transactions have locked."""

    def run(self, sql: str, **values: Value) -> None:
        """Run a statement without rows. It may be executed before changes that this transaction has collected."""


class Connection(Protocol):
    """One connection, used by one thread."""

    def transaction(self) -> AbstractContextManager[Session]:
        """Commit durably at the end of the block; keep nothing if the block or the commit fails."""

    def snapshot(self, now: datetime) -> AbstractContextManager[Snapshot]:
        """Open a consistent view that includes everything committed before."""

    def close(self) -> None:
        """Close the connection."""


class Storage(Protocol):
    """A database that holds one shop."""

    @property
    def shared(self) -> bool:
        """Whether several servers may use it at once."""

    def prepare(self) -> Sequence[str]:
        """Create or migrate the schema, unless it is newer and admits this version; mend what a restore left behind.

        Returns lines for the operator. Raises CannotOpen, having changed nothing, if that can't be done.
        """

    def check(self, *, writes: bool = False) -> Sequence[str]:
        """Check that this version may use the database, for `writes` too. Changes nothing.

        Returns lines for the operator. Raises CannotOpen if it may not, NoShopYet if the database holds no shop.
        """

    def durability(self) -> Sequence[Diagnosis]:
        """Examine what endangers committed data, within seconds. Raises CannotOpen if the database can't be reached."""

    def examine(self) -> Iterator[Diagnosis]:
        """Examine the database, `durability` included, and what else decides about a shop. Writes nothing.

        Raises CannotOpen like `check`, after all that could be found out before.
        """

    def take(self) -> None:
        """Check the database and keep other servers away until `close`, if the database can do that. Changes nothing.

        Raises CannotOpen like `check`, or if the schema is not this version's own, or is being served.
        """

    def connect(self, timeout_s: float = LONG_TIMEOUT_S) -> Connection:
        """Return a new connection, for the calling thread only.

        It waits up to `timeout_s` for each answer, where the database can be given up; otherwise it is Unavailable.
        """

    def kept_files(self) -> Sequence[int]:
        """Return descriptors of lock files. Every process that uses the database keeps them open."""

    def identity(self) -> str:
        """Return what identifies the files of a database that was prepared or taken; "" where it has none here."""

    def expect(self, identity: str, *, logs: bool = False) -> None:
        """Use only the files that another process of the server has named (`identity`).

        `logs`: this process logs that they are lost; otherwise another one does.
        """

    def loss(self) -> str | None:
        """Return in one line what became of a database file that is lost, with all that is in it; None if it isn't."""

    def close(self) -> None:
        """Release the database, so that another server may take it."""


class QueryRefused(Exception):
    """A query can't be answered. Its caller gets this error; other queries of the same snapshot are answered."""


class Query(NamedTuple, Generic[Answer]):
    """Something to read: a function of a snapshot and its arguments. Equal questions have equal answers."""

    read: Callable[..., Answer]
    """May raise QueryRefused."""
    arguments: tuple[Any, ...] = ()
    cost: Cost = "point"


class AsOf(NamedTuple, Generic[Answer]):
    """An answer with the timestamp that it is true for."""

    timestamp: datetime
    value: Answer


class Page(NamedTuple, Generic[Answer]):
    """A page of a list."""

    items: Sequence[Answer]
    next_after: int | None
    """The cursor of the next page: the id of this page's last item; None on the last page."""
