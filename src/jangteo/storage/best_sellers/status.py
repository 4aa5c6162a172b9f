"""The counting of the best sellers as operators look at it: which windows there are, and how far they are counted."""

from datetime import UTC, datetime, timedelta
from typing import Final

from msgspec import Struct

from jangteo.core.best_sellers import DEFAULT_DAYS
from jangteo.core.counting import State, Window
from jangteo.storage.best_sellers.buckets import read_whole_window
from jangteo.storage.best_sellers.deltas import add_up
from jangteo.storage.best_sellers.refresh import HEARD_WITHIN, read_windows
from jangteo.storage.port import Row, Snapshot
from jangteo.storage.timestamps import to_micros

_NOTES: Final = "SELECT ordered_at, units FROM sales_deltas"
_NEVER: Final = datetime.fromtimestamp(0, UTC)
"""As in a new shop, in which nothing was counted yet."""


class WindowState(Struct, frozen=True, rename="camel"):
    """One window."""

    days: int
    state: State
    counted_until: datetime | None
    """What was sold and given back later is noted, and added whenever somebody asks. None: nothing is counted yet."""
    started_at: datetime | None
    """Since when it is being counted; None where it isn't."""
    silent_since: datetime | None
    """Since when nobody has been heard of who counts it, where that is long; then it is begun anew by others."""
    requested_at: datetime | None
    """About when somebody last asked for it; None where it is kept in any case, or not at all."""
    products: int | None
    """How many products have sold in it, with what is noted; None where it isn't whole."""


class TopState(Struct, frozen=True, rename="camel"):
    """How the counting gets on."""

    at: datetime
    windows: list[WindowState]
    uncounted_notes: int
    """So many notes of sales wait: one for all orders that were committed together."""


def read_top_state(snapshot: Snapshot) -> TopState:
    """All that `jangteo top status` tells, by days and age."""
    notes = snapshot.rows(_NOTES)
    windows = sorted(read_windows(snapshot), key=lambda window: window.days)
    return TopState(snapshot.now, [_state(snapshot, window, notes) for window in windows], len(notes))


def count_products(snapshot: Snapshot, days: int) -> int:
    """How many products have sold in the window of so many days that is kept, with what is noted."""
    kept = [window for window in read_windows(snapshot) if (window.days, window.state) == (days, "active")]
    notes = snapshot.rows(_NOTES)
    return sum(_count_products(snapshot, window, notes) for window in kept)


def _state(snapshot: Snapshot, window: Window, notes: list[Row]) -> WindowState:
    kept, building = window.state == "active", window.state == "backfilling"
    is_silent = window.heartbeat_at is not None and window.heartbeat_at < snapshot.now - HEARD_WITHIN
    return WindowState(
        days=window.days,
        state=window.state,
        counted_until=window.since + timedelta(days=window.days) if kept and window.since > _NEVER else None,
        started_at=window.started_at if building else None,
        silent_since=window.heartbeat_at if is_silent else None,
        requested_at=window.requested_at if kept and window.days != DEFAULT_DAYS else None,
        products=_count_products(snapshot, window, notes) if kept else None,
    )


def _count_products(snapshot: Snapshot, window: Window, notes: list[Row]) -> int:
    since, sold = to_micros(window.since), read_whole_window(snapshot, window.window_id)
    add_up(sold, (units for moment, units in notes if moment > since))
    return sum(units > 0 for units in sold.values())
