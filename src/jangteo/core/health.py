"""Readiness: whether the database can be written now."""

from typing import Literal

from msgspec import Struct

from jangteo.core.book import Book, Command


class Ready(Struct, frozen=True):
    """The database can be written."""

    status: Literal["ready"] = "ready"


class CheckWritable(Command, frozen=True):
    """Write one row, to find out whether the database can be written."""

    def decide(self, book: Book) -> Ready:
        """Never refused; the commit fails when the database can't be written."""
        book.checked_at = book.now
        return Ready()
