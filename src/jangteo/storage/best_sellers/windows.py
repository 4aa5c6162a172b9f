"""The steps of the counting, written in a batch: the tally is held, so that each is done only where it is the next."""

from collections.abc import Iterable
from typing import Final

from jangteo.core.book import Book
from jangteo.core.counting import THE_TALLY, Step, Window
from jangteo.storage import schema
from jangteo.storage.port import GuardedChange, Insert, Row, Session
from jangteo.storage.timestamps import to_micros, to_micros_or_none

_TALLY: Final = GuardedChange(schema.best_seller_version, ("version",), ("version",))
_WINDOW_COLUMNS: Final = ("days", "since", "state", "started_at", "requested_at", "heartbeat_at")
_NEW_WINDOWS: Final = Insert(schema.best_seller_windows, ("id", *_WINDOW_COLUMNS))
_WINDOWS: Final = GuardedChange(schema.best_seller_windows, _WINDOW_COLUMNS, ())
_NEW_PAGES: Final = Insert(schema.best_seller_buckets, ("id", "window_id", "max_units", "units"))
_PAGES: Final = GuardedChange(schema.best_seller_buckets, ("max_units", "units"), ())


def load_tally(session: Session) -> Iterable[tuple[int, int]]:
    """How many steps were done."""
    sql = "SELECT id, version FROM best_seller_version WHERE id IN (:ids) ORDER BY id"
    return ((row[0], row[1]) for row in session.lock(schema.best_seller_version, sql, [THE_TALLY]))


def save(session: Session, book: Book) -> None:
    """The steps of a batch: one, since a second one comes too late."""
    counted = book.view_version.replaced()
    if counted:
        session.change(_TALLY, [(after, THE_TALLY, before) for before, after in counted])
    for step in book.refreshes:
        _save_step(session, step)


def _save_step(session: Session, step: Step) -> None:
    if step.new_windows:
        session.insert(_NEW_WINDOWS, [(each.window_id, *_values(each)) for each in step.new_windows])
    if step.changed_windows:
        session.change(_WINDOWS, [(*_values(each), each.window_id) for each in step.changed_windows])
    if step.new_pages:
        session.insert(_NEW_PAGES, [(each.page_id, each.window_id, each.best, each.sold) for each in step.new_pages])
    if step.changed_pages:
        session.change(_PAGES, [(each.best, each.sold, each.page_id) for each in step.changed_pages])
    for table, gone in (
        (schema.sales_deltas, step.counted),
        (schema.best_seller_windows, step.gone_windows),
        (schema.best_seller_buckets, step.gone_pages),
    ):
        if gone:
            session.remove(table, gone)


def _values(window: Window) -> Row:
    return (
        window.days,
        to_micros(window.since),
        window.state,
        to_micros(window.started_at),
        to_micros(window.requested_at),
        to_micros_or_none(window.heartbeat_at),
    )
