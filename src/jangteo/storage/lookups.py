"""Queries by one id that go to the database together: those that differ only in the id become one query by ids."""

from collections.abc import Callable, Collection, Iterable, Iterator

from jangteo.storage.port import Row


class Lookups:
    """The queries by one id of a snapshot, collected until rows of one of them are iterated."""

    def __init__(self, find: Callable[[str, Collection[int]], Iterable[Row]]) -> None:
        """`find` sends a query by ids."""
        self._find = find
        self._unsent: dict[str, _Lookup] = {}

    def __len__(self) -> int:
        """How many statements have not been sent."""
        return len(self._unsent)

    def add(self, sql: str, key: int) -> Iterator[Row]:
        """Collect a query by ids for one id, which it selects first; iterating awaits the rows with this id."""
        lookup = self._unsent.get(sql)
        if lookup is None:
            lookup = self._unsent[sql] = _Lookup()
        lookup.ids.add(key)
        return self._rows_of(lookup, key)

    def send(self) -> None:
        """Send all that were collected."""
        unsent, self._unsent = self._unsent, {}
        for sql, lookup in unsent.items():
            lookup.rows = self._find(sql, lookup.ids)

    def _rows_of(self, lookup: "_Lookup", key: int) -> Iterator[Row]:
        if lookup.by_id is None:
            # If it has been sent, so has everything that was collected beside it.
            if lookup.rows is None:
                self.send()
            lookup.group()
        yield from (lookup.by_id or {}).get(key, ())


class _Lookup:
    """A query by ids."""

    def __init__(self) -> None:
        self.ids: set[int] = set()
        self.rows: Iterable[Row] | None = None
        self.by_id: dict[int, list[Row]] | None = None

    def group(self) -> None:
        """Await the rows, in their order."""
        by_id: dict[int, list[Row]] = {}
        for row in self.rows or ():
            by_id.setdefault(row[0], []).append(row)
        self.by_id = by_id
