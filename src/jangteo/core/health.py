"""Readiness: whether the database can be written just now."""

from typing import Literal

from msgspec import Struct

from jangteo.core.book import Book
from jangteo.core.relay import NeedsNothing


class Ready(Struct, frozen=True):
    """The database was written just now."""

    status: Literal["ready"] = "ready"


class CheckWritable(Struct, NeedsNothing, frozen=True):
    """Write one row, to see that the database can be written."""

    def decide(self, book: Book) -> Ready:
        """Never refused; the database may fail."""
        book.upkeep.checked_at = book.now
        return Ready()
