"""What the relay has the shop remember: sent events, the lease, failures. No business is decided here.

All but the lease is noted as it is, and never refused. Each may be noted twice without harm.
"""

from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from jangteo.core.book import Book, Needs
from jangteo.core.entities import RelayTurn

THE_TURN: Final = 1
"""There is one platform, and one turn."""


class NeedsNothing:
    """A command that reads no row of the shop."""

    def name_needs(self, needs: Needs) -> None:
        """Nothing to load."""


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


class Noted(NeedsNothing):
    """A command that only leaves a note."""

    def decide(self, book: Book) -> None:
        """Never refused."""
        book.upkeep.notes.append(self)


class Rejected(Struct, frozen=True):
    """An event that the platform didn't take for what it is, or that waits for another of its order that it didn't."""

    event: int
    """Its place in the outbox."""
    order_id: int
    tries: int
    reason: str
    again_in_s: float | None
    """None: it is set aside until an operator asks for it."""


class NoteRejected(Struct, Noted, frozen=True):
    """These are not sent with their bundles, but by themselves."""

    events: tuple[Rejected, ...]


class NoteAccepted(Struct, Noted, frozen=True):
    """These were rejected before, and have been sent now."""

    events: tuple[int, ...]


class RetryEvents(Struct, Noted, frozen=True):
    """An operator wants these to be tried again now, as if for the first time."""

    events: tuple[int, ...]


class StartReplay(Struct, Noted, frozen=True):
    """An operator wants what happened in a span of time to be sent again, unless a replay is under way."""

    since: datetime
    until: datetime


class NoteReplay(Struct, Noted, frozen=True):
    """How far a replay has come; never back."""

    replay: int
    done_bundle: int
    events: int
    finished: bool


class ReportPlatform(Struct, Noted, frozen=True):
    """What the relay has to say to operators."""

    name: str
    failure: str | None
    stopped: bool
    sent_events: int
    within_s: float
    """So many were sent within so long, up to now."""


class ResumePlatform(Struct, Noted, frozen=True):
    """An operator wants a platform that stopped the relay to be asked again."""


class ForgetEvents(Struct, Noted, frozen=True):
    """These bundles, as far as they were sent so long ago and nothing of them was rejected, need not be kept."""

    bundles: tuple[int, ...]
    kept_for_s: float
