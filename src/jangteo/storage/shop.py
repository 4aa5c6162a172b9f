"""The shop as a whole, in SQL."""

from jangteo.storage.port import Session, Snapshot


def is_empty(session: Session) -> bool:
    """Whether the database holds no users, products or campaigns."""
    return not session.rows("SELECT 1 FROM users UNION SELECT 1 FROM products UNION SELECT 1 FROM campaigns LIMIT 1")


def read_token_seed(snapshot: Snapshot) -> str | None:
    """Read the seed of the key that signs the shop's own customer tokens, in hexadecimal digits.

    None in a shop that a version which didn't know it has copied.
    """
    rows = snapshot.rows("SELECT token_seed FROM shops")
    return None if not rows or rows[0][0] is None else str(rows[0][0])
