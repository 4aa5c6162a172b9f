"""What the house does for itself, in the same batches as the shop's commands: no business is decided here."""

from datetime import timedelta
from typing import Final, Literal

from msgspec import Struct

from jangteo.core.book import Book, Needs
from jangteo.core.rows import RelayTurn

THE_TURN: Final = 1
"""There is one platform, and one turn."""


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


class MarkSent(Struct, NeedsNothing, frozen=True):
    """Remember that the platform has been sent these bundles of events."""

    bundles: tuple[int, ...]

    def decide(self, book: Book) -> None:
        """Never refused."""
        book.upkeep.sent_bundles.extend(self.bundles)


class Turn(Struct, frozen=True):
    """Whether it is the turn of whoever asked."""

    held: bool


class HoldRelay(Struct, frozen=True):
    """A relay asks for its turn to tell the platform, or for more of it, or gives it back with 0 seconds."""

    holder: str
    for_s: float

    def name_needs(self, needs: Needs) -> None:
        """Whose turn it is now."""
        needs.relay_turn = True

    def decide(self, book: Book) -> Turn:
        """Never refused: the answer may be that it is another's turn."""
        turns = book.upkeep.relay_turns
        turn = turns.get(THE_TURN)
        if turn is not None and turn.holder != self.holder and turn.until > book.now:
            return Turn(held=False)
        turns.put(THE_TURN, RelayTurn(THE_TURN, self.holder, book.now + timedelta(seconds=self.for_s)))
        return Turn(held=True)
