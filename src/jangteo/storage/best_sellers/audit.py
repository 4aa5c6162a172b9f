"""The best sellers against the orders: every bucket of every active window, and what both queries answer."""

from collections.abc import Iterator
from typing import Final, NamedTuple

from jangteo.core.best_sellers import DEFAULT_DAYS, MAX_BEST, rank, window_start
from jangteo.core.entities import BestSeller, Window
from jangteo.storage.best_sellers import deltas
from jangteo.storage.best_sellers.buckets import read_max_units, read_units
from jangteo.storage.best_sellers.query import BestSellersView, count_best_sellers
from jangteo.storage.best_sellers.windows import read_windows
from jangteo.storage.port import AsOf, Snapshot
from jangteo.storage.sums import HALF, halves
from jangteo.storage.timestamps import to_micros

_SHOWN: Final = 5
_LATER: Final = "+orders.created_at > :since AND orders.status = 'paid'"
_IN_WINDOW: Final = "+orders.created_at > :start AND orders.status = 'paid'"
_UNITS_LATER: Final = halves(f"CASE WHEN {_LATER} THEN order_items.quantity END")
_UNITS_IN_WINDOW: Final = halves(f"CASE WHEN {_IN_WINDOW} THEN order_items.quantity END")
# Reads every order item with its order's own row: `+` keeps the indexes out, which may be wrong themselves.
_COUNT: Final = f"""
    SELECT order_items.product_id, COUNT(*), {_UNITS_LATER}, {_UNITS_IN_WINDOW}
    FROM order_items CROSS JOIN orders WHERE orders.id = order_items.order_id
    GROUP BY order_items.product_id
"""


class _Expected(NamedTuple):
    """Units by product as the orders say: sold later than a window's `since`, and in the window that ends now."""

    order_items: int
    since: dict[int, int]
    window: dict[int, int]


def audit_best_sellers(snapshot: Snapshot) -> tuple[int, list[str]]:
    """Compare the view with the orders: how many order items were counted, and what is wrong, a line each."""
    # A new instance has no cached ranking, so rows that were changed by hand are found.
    view = BestSellersView()
    active = [window for window in read_windows(snapshot) if window.state == "active"]
    expected = _count(snapshot, DEFAULT_DAYS, 0)
    direct = count_best_sellers(snapshot, DEFAULT_DAYS)
    wrong = [*_duplicates(active), *_wrong_answer("direct query", direct, expected)]
    for window in active:
        expected = _count(snapshot, window.days, to_micros(window.since))
        name = f"window of {window.days} day(s)"
        wrong += _wrong_buckets(snapshot, window, expected.since, name)
        wrong += _wrong_answer(name, view.read(snapshot, MAX_BEST, window.days), expected)
    return expected.order_items, wrong


def _count(snapshot: Snapshot, days: int, since: int) -> _Expected:
    rows = snapshot.rows(_COUNT, since=since, start=to_micros(window_start(snapshot.now, days)))
    return _Expected(
        order_items=sum(items for _, items, *_ in rows),
        since={product: high * HALF + low for product, _, high, low, _, _ in rows if high is not None},
        window={product: high * HALF + low for product, _, _, _, high, low in rows if high is not None},
    )


def _duplicates(active: list[Window]) -> Iterator[str]:
    days = [window.days for window in active]
    for each in sorted(set(days)):
        if days.count(each) > 1:
            yield f"{days.count(each)} active windows of {each} day(s)"


def _wrong_buckets(snapshot: Snapshot, window: Window, expected: dict[int, int], name: str) -> Iterator[str]:
    since = to_micros(window.since)
    waiting = deltas.sum_units(deltas.read_later_than(snapshot, since), since)
    units = read_units(snapshot, window.window_id)
    wrong = [
        f"{name}, product {product}: {units.get(product, 0)} in its bucket and {waiting.get(product, 0)} in deltas, "
        f"sold {expected.get(product, 0)}"
        for product in sorted(units.keys() | waiting.keys() | expected.keys())
        if units.get(product, 0) + waiting.get(product, 0) != expected.get(product, 0)
    ]
    wrong += [
        f"{name}, bucket {number}: max_units is {stored}, its largest is {largest}"
        for number, stored, largest in read_max_units(snapshot, window.window_id)
        if stored != largest
    ]
    yield from wrong[:_SHOWN]
    if len(wrong) > _SHOWN:
        yield f"{name}: {len(wrong) - _SHOWN} more"


def _wrong_answer(name: str, answer: AsOf[list[BestSeller]] | None, expected: _Expected) -> Iterator[str]:
    if answer is None:
        return
    answered, counted = [(best.id, best.sold) for best in answer.value], rank(expected.window, MAX_BEST)
    if answered != counted:
        yield f"{name}: answered {answered[:_SHOWN]}, counted {counted[:_SHOWN]}"
