"""The row that a readiness check writes to find out whether the database can be written."""

from jangteo.core.book import Book
from jangteo.storage.port import Session
from jangteo.storage.timestamps import to_micros


def save(session: Session, book: Book) -> None:
    """Write the readiness row if the batch checks readiness."""
    if book.checked_at is None:
        return
    session.run(
        """
        INSERT INTO readiness (id, checked_at) VALUES (1, :at)
        ON CONFLICT (id) DO UPDATE SET checked_at = excluded.checked_at
        """,
        at=to_micros(book.checked_at),
    )
