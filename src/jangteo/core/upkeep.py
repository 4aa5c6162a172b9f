"""What the house does for itself, in the same batches as the shop's commands: no business is decided here."""

from typing import Literal

from msgspec import Struct

from jangteo.core.book import Book, Needs


class NeedsNothing:
    """A command that reads no row of the shop."""

    def name_needs(self, needs: Needs) -> None:
        """Nothing to load."""


class Ready(Struct, frozen=True):
    """The database was written just now."""

    status: Literal["ready"] = "ready"


class CheckWritable(Struct, NeedsNothing, frozen=True):
    """Write one row, to see that the database can be written."""

    def decide(self, book: Book) -> Ready:
        """Never refused; the database may fail."""
        book.upkeep.checked_at = book.now
        return Ready()


class MoveRelay(Struct, NeedsNothing, frozen=True):
    """Remember that a platform has been sent every event up to a position of the outbox."""

    platform: str
    position: int

    def decide(self, book: Book) -> None:
        """Never refused."""
        book.upkeep.relayed[self.platform] = self.position
