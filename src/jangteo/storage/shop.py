"""The shop as a whole, in SQL."""

from jangteo.storage.port import Session


def is_empty(session: Session) -> bool:
    """Whether the database holds no users, products or campaigns."""
    return not session.rows("SELECT 1 FROM users UNION SELECT 1 FROM products UNION SELECT 1 FROM campaigns LIMIT 1")
