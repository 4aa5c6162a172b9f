"""The counting of what is sold, in SQL: what a step changes is planned from a snapshot."""

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Final, NamedTuple

from msgspec.structs import replace

from jangteo.core.best_sellers import DEFAULT_DAYS, window_start
from jangteo.core.counting import CountSales, State, Step, Window
from jangteo.storage.best_sellers.buckets import ChangedPages, read_whole_window
from jangteo.storage.best_sellers.deltas import add_up
from jangteo.storage.port import QueryRefused, Row, Snapshot
from jangteo.storage.timestamps import from_micros, from_micros_or_none, to_micros

FEW: Final = 16
"""So many notes of sales, or orders that have left a window, are not worth a step: whoever asks adds them up."""
NOTES_AT_ONCE: Final = 1_000
ORDERS_AT_ONCE: Final = 5_000
PAGES_AT_ONCE: Final = 256
"""So much is done in one step, at the most."""
KEPT_MOST: Final = 5
"""So many windows are kept besides the one of three days; others are counted directly."""
KEPT_UNASKED: Final = timedelta(days=1)
ASKED_NOTED_EVERY: Final = timedelta(hours=1)
HEARD_WITHIN: Final = timedelta(minutes=2)
"""Whoever builds a window and hasn't been heard of for so long is taken for dead, and the window is begun anew."""

_ALL: Final = 2**62
_LATEST: Final = 2**62
"""No moment is later: what another server's clock has placed a little later than now counts too."""

_BITE = """
    SELECT COUNT(*), MAX(created_at) FROM (
        SELECT created_at FROM orders WHERE created_at > :since AND created_at <= :until
        ORDER BY created_at LIMIT :count
    ) AS bite
"""
_SOLD = """
    SELECT product_id, CAST(SUM(quantity) AS BIGINT)
    FROM orders JOIN order_items ON order_items.order_id = orders.id
    WHERE created_at > :since AND created_at <= :until AND status = 'paid'
    GROUP BY product_id
"""


class Planned(NamedTuple):
    """A step to be done, and whether there is more to do right after it."""

    command: CountSales
    more: bool


class WindowGone(QueryRefused):
    """The window is not being built any more: nobody had heard of whoever built it, so it was let go of."""


def plan_step(snapshot: Snapshot, asked: frozenset[int]) -> Planned | None:
    """The next step, where there is anything worth one. `asked`: somebody has asked for windows of so many days."""
    planning = _Planning(snapshot)
    planning.let_go()
    planning.remove()
    planning.keep(asked | {DEFAULT_DAYS})
    planning.count()
    return planning.planned()


def plan_building(snapshot: Snapshot, days: int) -> CountSales:
    """Begin a window anew, whether there is one of so many days or not."""
    planning = _Planning(snapshot)
    planning.begin(days)
    return planning.command()


def plan_holding(snapshot: Snapshot, begun: Window) -> CountSales:
    """Be heard of: the window is still being built. Raises WindowGone."""
    planning = _Planning(snapshot)
    planning.lock(begun)
    return planning.command()


def plan_giving_up(snapshot: Snapshot, begun: Window) -> CountSales:
    """Let go of a window that was being built. Raises WindowGone."""
    planning = _Planning(snapshot)
    planning.give_up(begun)
    return planning.command()


def plan_removal(snapshot: Snapshot) -> CountSales | None:
    """Remove some of what was let go of; None where nothing is left of it."""
    planning = _Planning(snapshot)
    planning.remove()
    planned = planning.planned()
    return None if planned is None else planned.command


def count_window(snapshot: Snapshot, begun: Window, tell: Callable[[float], None]) -> Mapping[int, int]:
    """All that a window that is being built lacks, from the orders: tells how much of it is done, of 1.

    `tell` may raise QueryRefused, which ends it. Raises WindowGone.
    """
    window = _building(read_windows(snapshot), begun)
    since = first = to_micros(window.since)
    last = to_micros(snapshot.now)
    sold: dict[int, int] = {}
    while True:
        until, more = _bite(snapshot, since, last)
        _add(sold, snapshot.rows(_SOLD, since=since, until=until if more else _LATEST), 1)
        if not more:
            break
        since = until
        tell((since - first) / max(last - first, 1))
    tell(1)
    # What is noted is counted by the steps, in this window as in all others; what they have counted is on its pages.
    noted: dict[int, int] = {}
    add_up(noted, (units for _, at, units in _notes(snapshot, _ALL) if at > first))
    _add(sold, noted.items(), -1)
    _add(sold, read_whole_window(snapshot, window.window_id).items(), -1)
    return sold


def plan_finish(snapshot: Snapshot, begun: Window, lacking: Mapping[int, int]) -> CountSales | None:
    """Make a window whole that was being built, and let go of the one that it replaces; None where it is whole.

    Raises WindowGone.
    """
    planning = _Planning(snapshot)
    planning.finish(begun, lacking)
    planned = planning.planned()
    return None if planned is None else planned.command


def read_windows(snapshot: Snapshot) -> list[Window]:
    """All windows there are, oldest first."""
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


class _Planning:
    """A step that is put together."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._steps = int(snapshot.rows("SELECT version FROM best_seller_version")[0][0])
        self._before = {window.window_id: window for window in read_windows(snapshot)}
        self._now = dict(self._before)
        self._gone: list[int] = []
        self._pages = ChangedPages()
        self._counted: tuple[int, ...] = ()
        self._more = False

    def let_go(self) -> None:
        """Windows that nobody has asked for in a day, or whose builder is gone."""
        now = self._snapshot.now
        for window in self._before.values():
            unasked = (
                window.state == "active" and window.days != DEFAULT_DAYS and window.requested_at < now - KEPT_UNASKED
            )
            silent = window.heartbeat_at is not None and window.heartbeat_at < now - HEARD_WITHIN
            if unasked or silent:
                self._put(replace(window, state="retired", heartbeat_at=None))

    def remove(self) -> None:
        """Some of the pages of what was let go of earlier, and a window of which none are left."""
        for window in self._before.values():
            if window.state == "retired" and not self._gone:
                self._remove(window)

    def _remove(self, window: Window) -> None:
        rows = self._snapshot.rows(
            "SELECT id FROM best_seller_buckets WHERE window_id = :window_id LIMIT :count",
            window_id=window.window_id,
            count=PAGES_AT_ONCE,
        )
        self._pages.gone += [row[0] for row in rows]
        if len(rows) < PAGES_AT_ONCE:
            self._gone.append(window.window_id)
        else:
            self._more = True

    def keep(self, asked: frozenset[int]) -> None:
        """Note that these are asked for, and begin one of those that are not kept."""
        now = self._snapshot.now
        known = {window.days: window for window in self._now.values() if window.state != "retired"}
        for days in sorted(asked):
            if days not in known:
                if days == DEFAULT_DAYS or len(known.keys() - {DEFAULT_DAYS}) < KEPT_MOST:
                    self.begin(days)
                    return
            elif known[days].requested_at < now - ASKED_NOTED_EVERY and days != DEFAULT_DAYS:
                self._put(replace(known[days], requested_at=now))

    def begin(self, days: int) -> None:
        """A window that is being built from here on."""
        now = self._snapshot.now
        window_id = max(self._before, default=0) + 1
        self._put(Window(window_id, days, window_start(now, days), "backfilling", now, now, now))

    def lock(self, begun: Window) -> None:
        """Whoever builds it asks for it still."""
        self._put(replace(_building(self._before.values(), begun), heartbeat_at=self._snapshot.now))

    def give_up(self, begun: Window) -> None:
        """Nobody builds it any more."""
        self._put(replace(_building(self._before.values(), begun), state="retired", heartbeat_at=None))

    def finish(self, begun: Window, lacking: Mapping[int, int]) -> None:
        """It is whole with these, or was before."""
        if _find(self._before.values(), begun, "active") is not None:
            return
        window = _building(self._before.values(), begun)
        for other in self._before.values():
            if other.days == window.days and other.state == "active":
                self._put(replace(other, state="retired"))
        self._put(replace(window, state="active", requested_at=self._snapshot.now, heartbeat_at=None))
        self._pages.turn(self._snapshot, window.window_id, lacking)

    def count(self) -> None:
        """What was sold since the last step, and what has left each window; unless that is not worth a step."""
        snapshot, changed = self._snapshot, self._has_changes()
        windows = [window for window in self._before.values() if self._now[window.window_id].state != "retired"]
        notes = _notes(snapshot, NOTES_AT_ONCE)
        # What has left is taken out only with all notes at hand: behind them may be one of an order that was cancelled,
        # or only just sold, and would be left out once its order has left.
        all_notes = len(notes) < NOTES_AT_ONCE
        bites = [self._bite_of(window) if all_notes else (to_micros(window.since), 0) for window in windows]
        if not changed and len(notes) < FEW and all(count < FEW for _, count in bites):
            return
        self._more |= not all_notes or any(count == ORDERS_AT_ONCE for _, count in bites)
        self._counted = tuple(note for note, _, _ in notes)
        for window, (until, count) in zip(windows, bites, strict=True):
            since = to_micros(window.since)
            changes: dict[int, int] = {}
            add_up(changes, (units for _, at, units in notes if at > since))
            if count:
                _add(changes, snapshot.rows(_SOLD, since=since, until=until), -1)
            self._pages.turn(snapshot, window.window_id, changes)
            self._put(replace(self._now[window.window_id], since=max(from_micros(until), window.since)))

    def _bite_of(self, window: Window) -> tuple[int, int]:
        """Up to which moment this step takes out what has left, and how many orders these are, at the most."""
        since, until = to_micros(window.since), to_micros(window_start(self._snapshot.now, window.days))
        count, last = self._snapshot.rows(_BITE, since=since, until=until, count=ORDERS_AT_ONCE)[0]
        return (last if count == ORDERS_AT_ONCE else until), count

    def _put(self, window: Window) -> None:
        self._now[window.window_id] = window

    def _has_changes(self) -> bool:
        return bool(self._now != self._before or self._gone or self._pages.gone)

    def planned(self) -> Planned | None:
        """The step, if it changes anything."""
        return Planned(self.command(), self._more) if self._has_changes() or self._counted else None

    def command(self) -> CountSales:
        """The step."""
        now, before = self._now, self._before
        step = Step(
            counted=self._counted,
            new_windows=tuple(each for key, each in now.items() if key not in before),
            changed_windows=tuple(each for key, each in now.items() if key in before and each != before[key]),
            gone_windows=tuple(self._gone),
            new_pages=tuple(self._pages.new),
            changed_pages=tuple(self._pages.changed),
            gone_pages=tuple(self._pages.gone),
        )
        return CountSales(self._steps, step)


def _bite(snapshot: Snapshot, since: int, until: int) -> tuple[int, bool]:
    """The moment up to which a bite of orders goes, and whether there are more."""
    count, last = snapshot.rows(_BITE, since=since, until=until, count=ORDERS_AT_ONCE)[0]
    return (last, True) if count == ORDERS_AT_ONCE else (until, False)


def _notes(snapshot: Snapshot, count: int) -> list[Row]:
    return snapshot.rows("SELECT id, ordered_at, units FROM sales_deltas ORDER BY id LIMIT :count", count=count)


def _building(windows: Iterable[Window], begun: Window) -> Window:
    window = _find(windows, begun, "backfilling")
    if window is None:
        raise WindowGone
    return window


def _find(windows: Iterable[Window], begun: Window, state: State) -> Window | None:
    """The window as it is now. One that is gone leaves its id to another, which was begun at another moment."""
    for window in windows:
        if (window.window_id, window.started_at, window.state) == (begun.window_id, begun.started_at, state):
            return window
    return None


def _add(sold: dict[int, int], units_by_product: Iterable[tuple[int, int] | Row], sign: int) -> None:
    for product, units in units_by_product:
        sold[product] = sold.get(product, 0) + sign * units
