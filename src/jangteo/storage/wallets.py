"""Users, balances and ledger entries in SQL."""

from collections.abc import Collection, Iterable

from jangteo.core.book import Book
from jangteo.core.entities import LedgerEntry, Wallet
from jangteo.core.refusals import UserNotFound
from jangteo.core.wallets import CurrentBalance
from jangteo.storage import schema
from jangteo.storage.pagination import paginate
from jangteo.storage.port import GuardedChange, Insert, Page, Row, Session, Snapshot
from jangteo.storage.shared_reads import SharedRead, Steps
from jangteo.storage.timestamps import from_micros, to_micros

_NEW_USERS = Insert(schema.users, ("id", "name", "balance", "last_entry", "created_at"))
_BALANCES = GuardedChange(schema.users, ("balance", "last_entry"), ("last_entry",))
_NEW_ENTRIES = Insert(
    schema.ledger_entries,
    ("id", "user_id", "previous", "kind", "amount", "balance_after", "order_id", "created_at", "actor"),
)

_CHAIN = """
    WITH RECURSIVE chain AS (
        SELECT id, user_id, previous, kind, amount, balance_after, order_id, created_at, actor, 1 AS number
        FROM ledger_entries WHERE id = CASE
            WHEN CAST(:after AS BIGINT) IS NULL THEN (SELECT last_entry FROM users WHERE id = :user_id)
            ELSE (SELECT previous FROM ledger_entries WHERE id = :after AND user_id = :user_id)
        END
        UNION ALL
        SELECT entry.id, entry.user_id, entry.previous, entry.kind, entry.amount, entry.balance_after,
            entry.order_id, entry.created_at, entry.actor, number + 1
        FROM chain JOIN ledger_entries AS entry ON entry.id = chain.previous
        WHERE number < :count
    )
    SELECT id, user_id, previous, kind, amount, balance_after, order_id, created_at, actor FROM chain ORDER BY number
"""


def load(session: Session, user_ids: Collection[int]) -> Iterable[tuple[int, Wallet]]:
    """Load and lock the wallets of the users that exist."""
    rows = session.lock(
        schema.users, "SELECT id, balance, last_entry FROM users WHERE id IN (:ids) ORDER BY id", user_ids
    )
    return ((row[0], Wallet(*row)) for row in rows)


def save(session: Session, book: Book) -> None:
    """Write new users and changed balances."""
    added = book.wallets.added()
    if added:
        at = to_micros(book.now)
        session.insert(
            _NEW_USERS,
            [(new.user_id, book.names[new.user_id], new.balance, new.last_entry, at) for new in added],
        )
    replaced = book.wallets.replaced()
    if replaced:
        session.change(
            _BALANCES,
            [(after.balance, after.last_entry, after.user_id, before.last_entry) for before, after in replaced],
        )


def save_ledger(session: Session, book: Book) -> None:
    """Write the batch's ledger entries."""
    if book.ledger:
        at = to_micros(book.now)
        session.insert(
            _NEW_ENTRIES,
            [
                (
                    entry.entry_id,
                    entry.user_id,
                    entry.previous_entry_id,
                    entry.kind,
                    entry.amount,
                    entry.balance_after,
                    entry.order_id,
                    at,
                    entry.actor,
                )
                for entry in book.ledger
            ],
        )


def find_user(snapshot: Snapshot, user_id: int) -> Iterable[Row]:
    """Send a query that finds a row if the user exists."""
    return snapshot.look_up("SELECT id FROM users WHERE id IN (:ids)", user_id)


def user_exists(snapshot: Snapshot, user_id: int) -> bool:
    """Whether the user exists."""
    return any(find_user(snapshot, user_id))


@SharedRead
def read_balance(snapshot: Snapshot, user_id: int) -> Steps[CurrentBalance | UserNotFound]:
    """Read a user's balance."""
    found = snapshot.look_up("SELECT id, balance FROM users WHERE id IN (:ids)", user_id)
    yield
    for _, balance in found:
        return CurrentBalance(balance)
    return UserNotFound(user_id)


@SharedRead
def read_ledger(
    snapshot: Snapshot, user_id: int, limit: int, after: int | None
) -> Steps[Page[LedgerEntry] | UserNotFound]:
    """Read a page of a user's ledger, newest first, starting after the entry `after`.

    Each entry leads to the one before it. An index by user would cost every batch a random page for each of its users.
    """
    users = find_user(snapshot, user_id)
    rows = snapshot.send(_CHAIN, user_id=user_id, after=after, count=limit + 1)
    yield
    return paginate(list(rows), limit, _entry) if any(users) else UserNotFound(user_id)


def _entry(row: Row) -> LedgerEntry:
    entry_id, user_id, previous, kind, amount, balance_after, order_id, created_at, actor = row
    at = from_micros(created_at)
    return LedgerEntry(entry_id, user_id, previous, kind, amount, balance_after, order_id, at, actor)
