"""What the house writes about itself: readiness, and which relay's turn it is."""

from collections.abc import Iterable

from jangteo.core.book import Book
from jangteo.core.entities import RelayTurn
from jangteo.core.relay import THE_TURN
from jangteo.storage import schema
from jangteo.storage.port import GuardedChange, Insert, Session
from jangteo.storage.timestamps import micros, moment

_NEW_TURNS = Insert(schema.relay_turns, ("id", "holder", "until"))
_TURNS = GuardedChange(schema.relay_turns, ("holder", "until"), ("holder", "until"))


def save(session: Session, book: Book) -> None:
    """All that the batch's upkeep asks for."""
    upkeep = book.upkeep
    if upkeep.checked_at is not None:
        session.run(
            """
            INSERT INTO readiness (id, checked_at) VALUES (1, :at)
            ON CONFLICT (id) DO UPDATE SET checked_at = excluded.checked_at
            """,
            at=micros(upkeep.checked_at),
        )
    added = upkeep.relay_turns.added()
    if added:
        session.insert(_NEW_TURNS, [(turn.turn_id, turn.holder, micros(turn.until)) for turn in added])
    replaced = upkeep.relay_turns.replaced()
    if replaced:
        session.change(
            _TURNS,
            [
                (after.holder, micros(after.until), after.turn_id, before.holder, micros(before.until))
                for before, after in replaced
            ],
        )


def load_relay_turns(session: Session) -> Iterable[tuple[int, RelayTurn]]:
    """Whose turn it is, if it was anyone's yet."""
    sql = "SELECT id, holder, until FROM relay_turns WHERE id IN (:ids) ORDER BY id"
    rows = session.hold(schema.relay_turns, sql, [THE_TURN])
    return ((row[0], RelayTurn(row[0], row[1], moment(row[2]))) for row in rows)
