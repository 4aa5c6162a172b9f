"""What the house writes about itself: readiness, and positions of the relay."""

from jangteo.core.book import Book
from jangteo.storage.moments import micros
from jangteo.storage.port import Session


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
    for platform, position in upkeep.relayed.items():
        session.run(
            """
            INSERT INTO relay_positions (platform, position) VALUES (:platform, :position)
            ON CONFLICT (platform) DO UPDATE SET position = excluded.position
            """,
            platform=platform,
            position=position,
        )
