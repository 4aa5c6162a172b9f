"""Windows and the version of the view in SQL, and writing a refresh.

A batch locks the version's row, so a refresh is written only if no other one was since it was planned.
"""

from collections.abc import Iterable
from typing import Final

from jangteo.core.best_sellers import VIEW_ID
from jangteo.core.book import Book
from jangteo.core.entities import Refresh, Window
from jangteo.storage import schema
from jangteo.storage.best_sellers import buckets, deltas
from jangteo.storage.port import GuardedChange, Insert, Row, Session, Snapshot
from jangteo.storage.timestamps import from_micros, from_micros_or_none, to_micros, to_micros_or_none

_VERSION: Final = GuardedChange(schema.best_seller_version, ("version",), ("version",))
_COLUMNS: Final = ("days", "since", "state", "started_at", "requested_at", "heartbeat_at")
_NEW_WINDOWS: Final = Insert(schema.best_seller_windows, ("id", *_COLUMNS))
_CHANGED_WINDOWS: Final = GuardedChange(schema.best_seller_windows, _COLUMNS, ())


def load_version(session: Session) -> Iterable[tuple[int, int]]:
    """Load and lock the version of the view."""
    sql = "SELECT id, version FROM best_seller_version WHERE id IN (:ids) ORDER BY id"
    return ((row[0], row[1]) for row in session.lock(schema.best_seller_version, sql, [VIEW_ID]))


def save(session: Session, book: Book) -> None:
    """Write the refresh of a batch, if it has one: a second one in the same batch doesn't apply."""
    replaced = book.view_version.replaced()
    if replaced:
        session.change(_VERSION, [(after, VIEW_ID, before) for before, after in replaced])
    for refresh in book.refreshes:
        _save_windows(session, refresh)
        deltas.remove(session, refresh.applied_deltas)
        buckets.save(session, refresh)


def read_windows(snapshot: Snapshot) -> list[Window]:
    """Read all windows, oldest first."""
    rows = snapshot.rows(
        "SELECT id, days, since, state, started_at, requested_at, heartbeat_at FROM best_seller_windows ORDER BY id"
    )
    return [
        Window(
            window_id,
            days,
            from_micros(since),
            state,
            from_micros(started_at),
            from_micros(requested_at),
            from_micros_or_none(heartbeat_at),
        )
        for window_id, days, since, state, started_at, requested_at, heartbeat_at in rows
    ]


def read_version(snapshot: Snapshot) -> int:
    """Read the version of the view."""
    return int(snapshot.rows("SELECT version FROM best_seller_version")[0][0])


def _save_windows(session: Session, refresh: Refresh) -> None:
    if refresh.new_windows:
        session.insert(_NEW_WINDOWS, [(each.window_id, *_values(each)) for each in refresh.new_windows])
    if refresh.changed_windows:
        session.change(_CHANGED_WINDOWS, [(*_values(each), each.window_id) for each in refresh.changed_windows])
    if refresh.removed_windows:
        session.remove(schema.best_seller_windows, refresh.removed_windows)


def _values(window: Window) -> Row:
    return (
        window.days,
        to_micros(window.since),
        window.state,
        to_micros(window.started_at),
        to_micros(window.requested_at),
        to_micros_or_none(window.heartbeat_at),
    )
