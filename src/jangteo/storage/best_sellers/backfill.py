"""Backfilling a window from the orders, beside the refreshes: the scan, and planning each change of the window's state.

A window is found by its id and `started_at`, since the id of a removed window may be used again.
"""

from collections.abc import Callable, Iterable, Mapping

from msgspec.structs import replace

from jangteo.core.best_sellers import RefreshBestSellers
from jangteo.core.entities import Window, WindowState
from jangteo.storage.best_sellers import deltas
from jangteo.storage.best_sellers.buckets import read_units
from jangteo.storage.best_sellers.draft import RefreshDraft
from jangteo.storage.best_sellers.refresh import retired, start_window
from jangteo.storage.best_sellers.sold_units import LATEST, add_units, find_chunk, read_sold_units
from jangteo.storage.best_sellers.windows import read_windows
from jangteo.storage.port import QueryRefused, Snapshot
from jangteo.storage.timestamps import to_micros


class WindowRetired(QueryRefused):
    """The window is not backfilling any more: its heartbeat timed out, so it was retired."""


def plan_start(snapshot: Snapshot, days: int) -> RefreshBestSellers:
    """Plan to start a window, whether there is one of `days` days already or not."""
    draft = RefreshDraft(snapshot)
    start_window(draft, days)
    return draft.command()


def plan_heartbeat(snapshot: Snapshot, started: Window) -> RefreshBestSellers:
    """Plan to record that the backfill is alive. Raises WindowRetired."""
    draft = RefreshDraft(snapshot)
    draft.put(replace(_backfilling(draft.windows(), started), heartbeat_at=snapshot.now))
    return draft.command()


def plan_abort(snapshot: Snapshot, started: Window) -> RefreshBestSellers:
    """Plan to retire a window whose backfill ends early. Raises WindowRetired."""
    draft = RefreshDraft(snapshot)
    draft.put(retired(_backfilling(draft.windows(), started)))
    return draft.command()


def plan_finish(snapshot: Snapshot, started: Window, missing: Mapping[int, int]) -> RefreshBestSellers | None:
    """Plan to add the missing units, activate the window, and retire the one it replaces; None if it is active already.

    Raises WindowRetired.
    """
    draft = RefreshDraft(snapshot)
    if _find(draft.windows(), started, "active") is not None:
        return None
    window = _backfilling(draft.windows(), started)
    for other in draft.windows():
        if other.days == window.days and other.state == "active":
            draft.put(retired(other))
    draft.put(replace(window, state="active", requested_at=snapshot.now, heartbeat_at=None))
    draft.add_units(window.window_id, missing)
    return draft.command()


def scan_orders(snapshot: Snapshot, started: Window, report: Callable[[float], None]) -> Mapping[int, int]:
    """Sum the units by product that a backfilling window lacks, from all its orders.

    Calls `report` with the share done, from 0 to 1, after each chunk of orders. It may raise QueryRefused, which ends
    the scan. Raises WindowRetired.
    """
    window = _backfilling(read_windows(snapshot), started)
    since = first = to_micros(window.since)
    last = to_micros(snapshot.now)
    missing: dict[int, int] = {}
    while True:
        until, _, has_more = find_chunk(snapshot, since, last)
        add_units(missing, read_sold_units(snapshot, since, until if has_more else LATEST), 1)
        if not has_more:
            break
        since = until
        report((since - first) / max(last - first, 1))
    report(1)
    # The refreshes move the deltas into this window as into all others; what they have moved is in its buckets.
    for present in (
        deltas.sum_units(deltas.read_later_than(snapshot, first), first),
        read_units(snapshot, window.window_id),
    ):
        add_units(missing, present.items(), -1)
    return missing


def _backfilling(windows: Iterable[Window], started: Window) -> Window:
    window = _find(windows, started, "backfilling")
    if window is None:
        raise WindowRetired
    return window


def _find(windows: Iterable[Window], started: Window, state: WindowState) -> Window | None:
    for window in windows:
        if (window.window_id, window.started_at, window.state) == (started.window_id, started.started_at, state):
            return window
    return None
