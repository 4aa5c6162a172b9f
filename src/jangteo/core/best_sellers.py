"""The best sellers: an incrementally maintained materialized view of the units sold by product.

Every batch writes what it sold and gave back as a delta (`sales_of`). From time to time a refresh moves the deltas into
the windows of the view and takes out what has left them. It is planned from a snapshot and applies only to the version
it was planned from, so nothing is added twice or left out, also with several servers. The policy is here: which
windows are maintained, and what is worth a refresh.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from heapq import nsmallest
from typing import Final, Literal

from msgspec import Struct

from jangteo.core.book import Book, Command, Needs
from jangteo.core.entities import Order, Refresh, Window
from jangteo.core.limits import LARGEST

DEFAULT_DAYS: Final = 3
MAX_DAYS: Final = 30
DEFAULT_BEST: Final = 5
MAX_BEST: Final = 100

MIN_CHANGES: Final = 16
"""Fewer deltas, or fewer orders that have left a window, are not worth a refresh: queries add them up."""
MAX_EXTRA_WINDOWS: Final = 5
"""Windows maintained besides the default one. Others are counted from the orders."""
RETIRE_UNREQUESTED_AFTER: Final = timedelta(days=1)
RECORD_REQUESTS_EVERY: Final = timedelta(hours=1)
HEARTBEAT_TIMEOUT: Final = timedelta(minutes=2)
"""A backfill without a heartbeat for longer is taken for dead: its window is retired, and may be started again."""

VIEW_ID: Final = 1
"""There is one view, so one version."""


def window_start(now: datetime, days: int = DEFAULT_DAYS) -> datetime:
    """The start of a window that ends now: it contains the orders placed strictly later than this."""
    return now - timedelta(days=days)


def rank(units: Mapping[int, int], limit: int = DEFAULT_BEST) -> list[tuple[int, int]]:
    """Rank products by units sold: (product id, units), best first. Of ties the lower product id comes first.

    2^53 - 1 units stand for that many or more, and tie.
    """
    bounded = [(-sold if sold <= LARGEST else -LARGEST, product) for product, sold in units.items() if sold > 0]
    best_first = nsmallest(limit, bounded)
    return [(product, -minus_units) for minus_units, product in best_first]


def is_worth_refreshing(deltas: int, expired_orders: Iterable[int]) -> bool:
    """Whether this many waiting deltas, or orders that have left each window, are worth a refresh."""
    return deltas >= MIN_CHANGES or any(count >= MIN_CHANGES for count in expired_orders)


def windows_to_retire(windows: Iterable[Window], now: datetime) -> list[Window]:
    """Active windows that no client has requested for a day, and backfilling ones whose heartbeat has timed out.

    The default window stays active whether it is requested or not.
    """
    return [window for window in windows if _is_unrequested(window, now) or is_heartbeat_lost(window, now)]


def is_heartbeat_lost(window: Window, now: datetime) -> bool:
    """Whether a window is backfilling and its last heartbeat is older than the timeout."""
    return window.heartbeat_at is not None and window.heartbeat_at < now - HEARTBEAT_TIMEOUT


def window_to_start(windows: Iterable[Window], requested: Iterable[int]) -> int | None:
    """The days of the window to backfill next: the shortest requested one that isn't maintained, while there is room.

    The default one counts as requested and always has room. None if there is nothing to start.
    """
    maintained = {window.days for window in windows if window.state != "retired"}
    has_room = len(maintained - {DEFAULT_DAYS}) < MAX_EXTRA_WINDOWS
    for days in sorted({DEFAULT_DAYS, *requested} - maintained):
        if days == DEFAULT_DAYS or has_room:
            return days
    return None


def requests_to_record(windows: Iterable[Window], requested: Iterable[int], now: datetime) -> list[Window]:
    """Windows that are requested now and whose `requested_at` is more than an hour old.

    The default window needs no record, since it is never retired.
    """
    days = {*requested} - {DEFAULT_DAYS}
    due = now - RECORD_REQUESTS_EVERY
    return [each for each in windows if each.state != "retired" and each.days in days and each.requested_at < due]


class RefreshOutcome(Struct, frozen=True):
    """Whether the refresh was applied. It was not if another one came first."""

    applied: bool


class RefreshBestSellers(Command, frozen=True):
    """Apply a refresh to the version it was planned from."""

    version: int
    refresh: Refresh

    def name_needs(self, needs: Needs) -> None:
        """The version of the view, locked until the batch is committed."""
        needs.view_version = True

    def decide(self, book: Book) -> RefreshOutcome:
        """Apply the refresh, or change nothing if the view has another version. Never refused."""
        version = book.view_version
        if version.get(VIEW_ID) != self.version:
            return RefreshOutcome(applied=False)
        version.put(VIEW_ID, self.version + 1)
        book.refreshes.append(self.refresh)
        return RefreshOutcome(applied=True)


def sales_of(book: Book) -> Iterator[tuple[datetime, Order, Literal[1, -1]]]:
    """Yield each order that a batch sold (1) or cancelled (-1), with the time it was placed.

    A cancelled order leaves the view at the time at which it entered it.
    """
    for order in book.orders.added():
        if order.status == "paid":
            yield book.now, order, 1
    for _, order in book.orders.replaced():
        yield order.created_at, order, -1


def _is_unrequested(window: Window, now: datetime) -> bool:
    is_extra = window.state == "active" and window.days != DEFAULT_DAYS
    return is_extra and window.requested_at < now - RETIRE_UNREQUESTED_AFTER
