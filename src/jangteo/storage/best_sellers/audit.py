"""The statistics against the orders: every page of every window that is kept, and what is answered."""

from collections.abc import Iterator
from typing import NamedTuple

from jangteo.core.best_sellers import DEFAULT_DAYS, MAX_BEST, rank, window_start
from jangteo.core.counting import Window
from jangteo.core.entities import BestSeller
from jangteo.storage.best_sellers.buckets import read_most, read_whole_window
from jangteo.storage.best_sellers.deltas import add_up
from jangteo.storage.best_sellers.query import count_best_sellers, read_best_sellers
from jangteo.storage.best_sellers.refresh import read_windows
from jangteo.storage.port import AsOf, Snapshot
from jangteo.storage.timestamps import to_micros

_SHOWN = 5


class _Counted(NamedTuple):
    """What was sold of each product: later than a window's `since`, and in the window that ends now."""

    lines: int
    since: dict[int, int]
    window: dict[int, int]


def compare_statistics(snapshot: Snapshot) -> tuple[int, list[str]]:
    """How many order lines were counted, and what is wrong."""
    # Somebody may have changed rows by hand, of which no number tells that an answer depends on.
    snapshot.memory.clear()
    kept = [window for window in read_windows(snapshot) if window.state == "active"]
    counted = _count(snapshot, DEFAULT_DAYS, 0)
    directly = count_best_sellers(snapshot, MAX_BEST, DEFAULT_DAYS)
    wrong = [*_repeated(kept), *_answered("counted directly", directly, counted)]
    for window in kept:
        counted = _count(snapshot, window.days, to_micros(window.since))
        name = f"window of {window.days} day(s)"
        wrong += _pages(snapshot, window, counted.since, name)
        wrong += _answered(name, read_best_sellers(snapshot, MAX_BEST, window.days), counted)
    return counted.lines, wrong


def _count(snapshot: Snapshot, days: int, since: int) -> _Counted:
    # Every line is looked at, with its order's own row, so that no index is believed either: `+` keeps it away.
    rows = snapshot.rows(
        """
        SELECT order_items.product_id, COUNT(*), CAST(COALESCE(SUM(
            CASE WHEN +orders.created_at > :since AND orders.status = 'paid' THEN order_items.quantity END
        ), 0) AS BIGINT), CAST(COALESCE(SUM(
            CASE WHEN +orders.created_at > :start AND orders.status = 'paid' THEN order_items.quantity END
        ), 0) AS BIGINT)
        FROM order_items CROSS JOIN orders WHERE orders.id = order_items.order_id
        GROUP BY order_items.product_id
        """,
        since=since,
        start=to_micros(window_start(snapshot.now, days)),
    )
    return _Counted(
        lines=sum(lines for _, lines, _, _ in rows),
        since={product: units for product, _, units, _ in rows if units},
        window={product: units for product, _, _, units in rows if units},
    )


def _repeated(kept: list[Window]) -> Iterator[str]:
    days = [window.days for window in kept]
    for each in sorted(set(days)):
        if days.count(each) > 1:
            yield f"{days.count(each)} windows of {each} day(s)"


def _pages(snapshot: Snapshot, window: Window, sold: dict[int, int], name: str) -> Iterator[str]:
    notes = snapshot.rows("SELECT units FROM sales_deltas WHERE ordered_at > :since", since=to_micros(window.since))
    noted: dict[int, int] = {}
    add_up(noted, (units for (units,) in notes))
    summed = read_whole_window(snapshot, window.window_id)
    wrong = [
        f"{name}, product {product}: {summed.get(product, 0)} on its page and {noted.get(product, 0)} not yet, "
        f"sold {sold.get(product, 0)}"
        for product in sorted(summed.keys() | noted.keys() | sold.keys())
        if summed.get(product, 0) + noted.get(product, 0) != sold.get(product, 0)
    ]
    wrong += [
        f"{name}, page {number}: {best} at the most, {most} on it"
        for number, best, most in read_most(snapshot, window.window_id)
        if best != most
    ]
    yield from wrong[:_SHOWN]
    if len(wrong) > _SHOWN:
        yield f"{name}: {len(wrong) - _SHOWN} more"


def _answered(name: str, answer: AsOf[list[BestSeller]] | None, counted: _Counted) -> Iterator[str]:
    if answer is None:
        return
    answered, expected = [(best.id, best.sold) for best in answer.value], rank(counted.window, MAX_BEST)
    if answered != expected:
        yield f"{name}: answered {answered[:_SHOWN]}, counted {expected[:_SHOWN]}"
