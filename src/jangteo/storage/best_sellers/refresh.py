"""Planning a refresh from a snapshot, as the policy of `core.best_sellers` decides."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from msgspec.structs import replace

from jangteo.core.best_sellers import (
    RefreshBestSellers,
    is_worth_refreshing,
    requests_to_record,
    window_start,
    window_to_start,
    windows_to_retire,
)
from jangteo.core.entities import Window
from jangteo.storage.best_sellers import deltas
from jangteo.storage.best_sellers.draft import RefreshDraft
from jangteo.storage.best_sellers.sold_units import add_units, find_chunk, read_sold_units
from jangteo.storage.port import Snapshot
from jangteo.storage.timestamps import from_micros, to_micros

DELTAS_PER_REFRESH: Final = 1_000
BUCKETS_REMOVED_PER_REFRESH: Final = 256


class PlannedRefresh(NamedTuple):
    """A refresh to apply, and whether there is more to do right after it."""

    command: RefreshBestSellers
    has_more: bool


def plan_refresh(snapshot: Snapshot, requested: frozenset[int]) -> PlannedRefresh | None:
    """Plan the next refresh; None if nothing is worth one. `requested`: the windows of clients, in days."""
    draft = RefreshDraft(snapshot)
    for window in windows_to_retire(draft.windows(), snapshot.now):
        draft.put(retired(window))
    has_more = _remove_retired(draft)
    _follow_requests(draft, requested)
    has_more |= _move_deltas(draft)
    return PlannedRefresh(draft.command(), has_more) if draft.has_changes() else None


def plan_removal(snapshot: Snapshot) -> RefreshBestSellers | None:
    """Plan to remove some buckets of a retired window; None if there is no such window."""
    draft = RefreshDraft(snapshot)
    _remove_retired(draft)
    return draft.command() if draft.has_changes() else None


def start_window(draft: RefreshDraft, days: int) -> None:
    """Add a window to backfill. From here on the refreshes maintain it as they do all others."""
    now = draft.snapshot.now
    draft.put(Window(draft.new_window_id(), days, window_start(now, days), "backfilling", now, now, now))


def retired(window: Window) -> Window:
    """A window as its retirement leaves it."""
    return replace(window, state="retired", heartbeat_at=None)


def _remove_retired(draft: RefreshDraft) -> bool:
    """Remove buckets of windows that were retired earlier, until one is gone; return whether more are left."""
    has_more = False
    for window in draft.before.values():
        if window.state == "retired":
            if draft.remove_window(window, BUCKETS_REMOVED_PER_REFRESH):
                break
            has_more = True
    return has_more


def _follow_requests(draft: RefreshDraft, requested: Iterable[int]) -> None:
    now = draft.snapshot.now
    for window in requests_to_record(draft.windows(), requested, now):
        draft.put(replace(window, requested_at=now))
    days = window_to_start(draft.windows(), requested)
    if days is not None:
        start_window(draft, days)


def _move_deltas(draft: RefreshDraft) -> bool:
    """Move deltas into the buckets and take out expired orders, if that is worth it; return whether there is more."""
    snapshot = draft.snapshot
    windows = [each for each in draft.before.values() if draft.window(each.window_id).state != "retired"]
    waiting = list(deltas.read_oldest(snapshot, DELTAS_PER_REFRESH))
    # Orders are taken out only with all deltas at hand. Behind these may be one of an order that was cancelled, or only
    # just sold, and would be left out once its order has left the window.
    all_waiting = len(waiting) < DELTAS_PER_REFRESH
    expired = [_expired(snapshot, window) if all_waiting else (to_micros(window.since), 0, False) for window in windows]
    if not draft.has_changes() and not is_worth_refreshing(len(waiting), (count for _, count, _ in expired)):
        return False
    draft.applied_deltas = tuple(delta_id for delta_id, _, _ in waiting)
    for window, (until, count, _) in zip(windows, expired, strict=True):
        since = to_micros(window.since)
        units = deltas.sum_units(waiting, since)
        if count:
            add_units(units, read_sold_units(snapshot, since, until), -1)
        draft.add_units(window.window_id, units)
        draft.put(replace(draft.window(window.window_id), since=max(from_micros(until), window.since)))
    return not all_waiting or any(more for _, _, more in expired)


def _expired(snapshot: Snapshot, window: Window) -> tuple[int, int, bool]:
    """The chunk of orders that this refresh takes out of a window; see `find_chunk`."""
    until = to_micros(window_start(snapshot.now, window.days))
    return find_chunk(snapshot, to_micros(window.since), until)
