"""Pages of lists. A query fetches one row more than the page's limit, which shows whether there is a next page."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from jangteo.storage.port import Page, Row

Item = TypeVar("Item")


def paginate(rows: Sequence[Row], limit: int, item: Callable[[Row], Item]) -> Page[Item]:
    """Make a page of the first `limit` rows; its cursor is the id of the last one, which is in the first column."""
    page_rows = rows[:limit]
    next_after = page_rows[-1][0] if len(rows) > limit else None
    return Page([item(row) for row in page_rows], next_after)
