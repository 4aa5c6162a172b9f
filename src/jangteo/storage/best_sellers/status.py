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

_NOTES: Final = "SELECT moment, units FROM uncounted_sales"
_NEVER: Final = datetime.fromtimestamp(0, UTC)
"""As in a new shop, in which nothing was counted yet."""


class WindowState(Struct, frozen=True, rename="camel"):
    """One window."""

    days: int
    state: State
    counted_until: datetime | None
    """What was sold and given back later is noted, and added whenever somebody asks. None: nothing is counted yet."""
    begun_at: datetime | None
    """Since when it is being counted; None where it isn't."""
    silent_since: datetime | None
    """Since when nobody has been heard of who counts it, where that is long; then it is begun anew by others."""
    asked_at: datetime | None
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
    kept = [window for window in read_windows(snapshot) if (window.days, window.state) == (days, "kept")]
    notes = snapshot.rows(_NOTES)
    return sum(_count_products(snapshot, window, notes) for window in kept)


def _state(snapshot: Snapshot, window: Window, notes: list[Row]) -> WindowState:
    kept, building = window.state == "kept", window.state == "building"
    is_silent = building and window.asked_at < snapshot.now - HEARD_WITHIN
    return WindowState(
        days=window.days,
        state=window.state,
        counted_until=window.since + timedelta(days=window.days) if kept and window.since > _NEVER else None,
        begun_at=window.begun_at if building else None,
        silent_since=window.asked_at if is_silent else None,
        asked_at=window.asked_at if kept and window.days != DEFAULT_DAYS else None,
        products=_count_products(snapshot, window, notes) if kept else None,
    )


def _count_products(snapshot: Snapshot, window: Window, notes: list[Row]) -> int:
    since, sold = to_micros(window.since), read_whole_window(snapshot, window.window_id)
    add_up(sold, (units for moment, units in notes if moment > since))
    return sum(units > 0 for units in sold.values())
