"""The narrow port: all that the rest of Jangteo may ask of a database, and the few verbs in which databases differ.

SQL is written once, as SQL, with `:named` values. A collection of ids is spelled `(:ids)` and bound by `find`,
`lock` and `lines`.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, Literal, NamedTuple, Protocol, TypeVar

from sqlalchemy import Table

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
    """New rows of one table: the columns that each row gives, in this order."""

    table: Table
    columns: tuple[str, ...]


@dataclass(frozen=True)
class GuardedChange:
    """A change of rows found by id that must still be as they were loaded, as far as there are `guards`.

    A row's values are: what `set_columns` become, the id, what `guards` were.
    """

    table: Table
    set_columns: tuple[str, ...]
    guards: tuple[str, ...]


class Snapshot(Protocol):
    """One consistent view of the database at one moment, for reads."""

    @property
    def now(self) -> datetime:
        """The moment the snapshot was opened."""

    @property
    def connection_id(self) -> int:
        """Identifies the open database connection: a new number after each reconnect."""

    def rows(self, sql: str, **values: Value) -> list[Row]:
        """Run one statement and fetch what it finds."""

    def send(self, sql: str, **values: Value) -> Iterable[Row]:
        """The same, but what it finds may be awaited only when it is looked at: together with what else was asked."""

    def find(self, sql: str, ids: Collection[int]) -> Iterable[Row]:
        """Find rows by a collection of ids."""

    def lines(self, sql: str, ids: Collection[int]) -> str:
        """Find an `id` and a `text` of one line each, by a collection of ids: the texts in order of id, a line each."""


class Session(Protocol):
    """One transaction, for loading a batch and writing it back."""

    def rows(self, sql: str, **values: Value) -> list[Row]:
        """Run one statement and fetch what it finds."""

    def constant(self, sql: str) -> list[Row]:
        """What a statement finds that always finds the same: a connection may remember it."""

    def find(self, sql: str, ids: Collection[int] | Collection[str]) -> Iterable[Row]:
        """Find rows by a collection of ids. They may be awaited only when they are looked at."""

    def lock(self, table: Table, sql: str, ids: Collection[int]) -> Iterable[Row]:
        """Find rows by ids, and lock those of the table unchanged by others until the end of the transaction.

        They may be awaited only when they are looked at.
        """

    def new_ids(self, counts: Mapping[Table, int]) -> Mapping[Table, Iterable[int]]:
        """So many ids for each table, that no row has or will have but those that this transaction gives them to."""

    def insert(self, insert: Insert, rows: Sequence[Row]) -> None:
        """Write new rows, all in one go."""

    def bring_in(self, insert: Insert, rows: Sequence[Row]) -> None:
        """Write many rows that come from elsewhere, with their ids; new ids go on behind the largest."""

    def change(self, change: GuardedChange, rows: Sequence[Row]) -> None:
        """Change rows, all in one go. Raises Conflict where one that is guarded is no longer as it was loaded."""

    def remove(self, table: Table, ids: Collection[int]) -> None:
        """Delete rows by their ids."""

    def delete(self, table: Table, sql: str, **values: Value) -> None:
        """Delete the rows whose keys a query finds, but for those that another transaction is at just now."""

    def run(self, sql: str, **values: Value) -> None:
        """Run one statement that finds nothing, and has nothing to do with what this transaction has changed."""


class Connection(Protocol):
    """One connection, used by one thread."""

    def transaction(self) -> AbstractContextManager[Session]:
        """Commits durably at the end of the block; keeps nothing where the block or the commit fails."""

    def snapshot(self, now: datetime) -> AbstractContextManager[Snapshot]:
        """A consistent view that includes everything committed before."""

    def close(self) -> None:
        """Give the connection back."""


class Storage(Protocol):
    """A database that holds one shop."""

    @property
    def shared(self) -> bool:
        """Whether several servers may use it at once."""

    def prepare(self) -> None:
        """Create or migrate the schema. Raises CannotOpen, having changed nothing, where that can't be done."""

    def check(self) -> None:
        """Raises CannotOpen where this is not a shop that can be read and written, NoShopYet where it may become one.

        Changes nothing.
        """

    def take(self) -> None:
        """Keep other servers away until `close`, as far as the database can. Changes nothing.

        Raises CannotOpen where this is not a shop that can be read and written, or where it is known to be served.
        """

    def connect(self) -> Connection:
        """A new connection, to be used by the thread that asked for it."""

    def kept_files(self) -> Sequence[int]:
        """Descriptors that every process at work on the database keeps open, so that no other server takes it."""

    def close(self) -> None:
        """Let go of the database."""


class QueryRefused(Exception):
    """What a question raises of its own accord: whoever asked it is told, and the other questions are answered."""


class Query(NamedTuple, Generic[Answer]):
    """Something to read: a function of a snapshot and its arguments. Equal questions have equal answers."""

    read: Callable[..., Answer]
    """May raise QueryRefused."""
    arguments: tuple[Any, ...] = ()
    cost: Cost = "point"

    def answer(self, snapshot: Snapshot) -> Answer:
        """Ask the database."""
        return self.read(snapshot, *self.arguments)


class AsOf(NamedTuple, Generic[Answer]):
    """Something as it was at a moment, which whoever asks is told."""

    moment: datetime
    value: Answer


class Page(NamedTuple, Generic[Answer]):
    """Part of a list, and where the next part starts: None at the end."""

    items: Sequence[Answer]
    next_after: int | None
