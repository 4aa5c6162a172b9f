"""A refresh that is being planned: what it changes compared with the snapshot it is planned from."""

from collections.abc import Mapping

from jangteo.core.best_sellers import RefreshBestSellers
from jangteo.core.entities import Bucket, Refresh, Window
from jangteo.storage.best_sellers.buckets import apply_changes, encode, group_by_bucket, read_buckets, read_numbers
from jangteo.storage.best_sellers.windows import read_version, read_windows
from jangteo.storage.port import Snapshot


class RefreshDraft:
    """Collects changes of windows, buckets and deltas for one `RefreshBestSellers`."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._version = read_version(snapshot)
        self.before = {window.window_id: window for window in read_windows(snapshot)}
        """The windows of the snapshot, by id."""
        self._after = dict(self.before)
        self.applied_deltas: tuple[int, ...] = ()
        self._removed_windows: list[int] = []
        self._new: list[Bucket] = []
        self._changed: list[Bucket] = []
        self._removed: list[tuple[int, int]] = []

    def windows(self) -> list[Window]:
        """The windows as the refresh leaves them."""
        return list(self._after.values())

    def window(self, window_id: int) -> Window:
        """A window as the refresh leaves it."""
        return self._after[window_id]

    def put(self, window: Window) -> None:
        """Add or change a window."""
        self._after[window.window_id] = window

    def new_window_id(self) -> int:
        """An id that no window has. A removed window's id may be used again."""
        return max(self.before, default=0) + 1

    def remove_window(self, window: Window, buckets_max: int) -> bool:
        """Remove a window, or `buckets_max` of its buckets if it has more; return whether it is gone."""
        numbers = read_numbers(self.snapshot, window.window_id, buckets_max)
        self._removed += [(window.window_id, number) for number in numbers]
        if len(numbers) == buckets_max:
            return False
        self._removed_windows.append(window.window_id)
        return True

    def add_units(self, window_id: int, units: Mapping[int, int]) -> None:
        """Add units by product to a window's buckets."""
        groups = group_by_bucket(units)
        before = read_buckets(self.snapshot, window_id, groups)
        for number, changes in groups.items():
            after = apply_changes(before.get(number, ()), changes)
            if after:
                bucket = encode(window_id, number, after)
                (self._changed if number in before else self._new).append(bucket)
            elif number in before:
                self._removed.append((window_id, number))

    def has_changes(self) -> bool:
        """Whether the refresh changes anything yet."""
        return bool(self._after != self.before or self.applied_deltas or self._removed_windows or self._removed)

    def command(self) -> RefreshBestSellers:
        """The refresh, for the version that the snapshot has."""
        after, before = self._after, self.before
        refresh = Refresh(
            applied_deltas=self.applied_deltas,
            new_windows=tuple(each for key, each in after.items() if key not in before),
            changed_windows=tuple(each for key, each in after.items() if key in before and each != before[key]),
            removed_windows=tuple(self._removed_windows),
            new_buckets=tuple(self._new),
            changed_buckets=tuple(self._changed),
            removed_buckets=tuple(self._removed),
        )
        return RefreshBestSellers(self._version, refresh)
