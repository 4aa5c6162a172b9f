"""The best-seller view as operators look at it: its windows, and how far they are refreshed."""

from datetime import UTC, datetime, timedelta
from typing import Final

from msgspec import Struct

from jangteo.core.best_sellers import DEFAULT_DAYS, is_heartbeat_lost
from jangteo.core.entities import Window, WindowState
from jangteo.storage.best_sellers import deltas
from jangteo.storage.best_sellers.buckets import read_units
from jangteo.storage.best_sellers.windows import read_windows
from jangteo.storage.port import Row, Snapshot
from jangteo.storage.timestamps import to_micros

_NEVER: Final = datetime.fromtimestamp(0, UTC)
"""The `since` of a new shop's window, which was never refreshed."""


class WindowStatus(Struct, frozen=True, rename="camel"):
    """One window."""

    days: int
    state: WindowState
    refreshed_until: datetime | None
    """Later sales are deltas, which every answer adds up. None: never refreshed, or not active."""
    started_at: datetime | None
    """When its backfill started; None unless it is backfilling."""
    heartbeat_lost_since: datetime | None
    """The last heartbeat of its backfill, if that has timed out. The next refresh retires the window."""
    requested_at: datetime | None
    """When a client last requested it, to the hour; None for the default window, and unless it is active."""
    products: int | None
    """How many products have sold in it, deltas included; None unless it is active."""


class ViewStatus(Struct, frozen=True, rename="camel"):
    """The view."""

    at: datetime
    windows: list[WindowStatus]
    waiting_deltas: int
    """Deltas that no refresh has moved into the windows yet, one per transaction."""


def read_status(snapshot: Snapshot) -> ViewStatus:
    """Read all that `jangteo top status` shows, windows in order of days and age."""
    waiting = deltas.read_all(snapshot)
    windows = sorted(read_windows(snapshot), key=lambda window: window.days)
    return ViewStatus(snapshot.now, [_status(snapshot, window, waiting) for window in windows], len(waiting))


def count_products(snapshot: Snapshot, days: int) -> int:
    """Count the products that have sold in the active window of `days` days."""
    active = [window for window in read_windows(snapshot) if (window.days, window.state) == (days, "active")]
    waiting = deltas.read_all(snapshot)
    return sum(_count_products(snapshot, window, waiting) for window in active)


def _status(snapshot: Snapshot, window: Window, waiting: list[Row]) -> WindowStatus:
    is_active, days = window.state == "active", window.days
    return WindowStatus(
        days=days,
        state=window.state,
        refreshed_until=window.since + timedelta(days=days) if is_active and window.since > _NEVER else None,
        started_at=window.started_at if window.state == "backfilling" else None,
        heartbeat_lost_since=window.heartbeat_at if is_heartbeat_lost(window, snapshot.now) else None,
        requested_at=window.requested_at if is_active and days != DEFAULT_DAYS else None,
        products=_count_products(snapshot, window, waiting) if is_active else None,
    )


def _count_products(snapshot: Snapshot, window: Window, waiting: list[Row]) -> int:
    units = read_units(snapshot, window.window_id)
    for product, count in deltas.sum_units(waiting, to_micros(window.since)).items():
        units[product] = units.get(product, 0) + count
    return sum(count > 0 for count in units.values())
