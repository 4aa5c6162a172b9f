"""Lists in parts: one row more than asked for is fetched, to know whether there is a next part."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from jangteo.storage.port import Page, Row

Item = TypeVar("Item")


def paginate(rows: Sequence[Row], limit: int, item: Callable[[Row], Item]) -> Page[Item]:
    """The part that was asked for; `next_after` is the id, in the first column, of its last row."""
    shown = rows[:limit]
    next_after = shown[-1][0] if len(rows) > limit else None
    return Page([item(row) for row in shown], next_after)
