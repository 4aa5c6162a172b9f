"""Readiness: whether the database can be written just now."""

from typing import Literal

from msgspec import Struct

from jangteo.core.book import Book, Command


class Ready(Struct, frozen=True):
    """The database was written just now."""

    status: Literal["ready"] = "ready"


class CheckWritable(Command, frozen=True):
    """Write one row, to see that the database can be written."""

    def decide(self, book: Book) -> Ready:
        """Never refused; the database may fail."""
        book.checked_at = book.now
        return Ready()
