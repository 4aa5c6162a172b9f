"""Pages of sales in SQL: how they are written down, and found."""

from collections.abc import Collection, Iterable, Mapping
from typing import Final

import msgspec

from jangteo.core.counting import WrittenPage
from jangteo.core.sales_pages import Leading, Page, by_page, changed, products_of
from jangteo.storage.port import Row, Snapshot

# A product's id is below 2^53, its page's number below 2^46. It is counted down in the row's id, so that of pages that
# are level the one with the lower products comes first where an index is read from its end.
_NUMBER_BITS: Final = 46
_LARGEST_NUMBER: Final = 2**_NUMBER_BITS - 1
_encode = msgspec.json.Encoder().encode
_read = msgspec.json.Decoder(list[int]).decode


class ChangedPages:
    """What is to be written of a window's pages."""

    def __init__(self) -> None:
        self.new: list[WrittenPage] = []
        self.changed: list[WrittenPage] = []
        self.gone: list[int] = []

    def turn(self, snapshot: Snapshot, window_id: int, changes: Mapping[int, int]) -> None:
        """So many units of these products have come or gone."""
        pages = by_page(changes)
        before = read_pages(snapshot, window_id, pages)
        for number, of_page in pages.items():
            units = changed(before.get(number, ()), of_page)
            page_id = _page_id(window_id, number)
            if not units:
                self.gone += [page_id] if number in before else []
                continue
            written = WrittenPage(page_id, window_id, max(units), _encode(units).decode())
            (self.changed if number in before else self.new).append(written)


def read_pages(snapshot: Snapshot, window_id: int, numbers: Collection[int]) -> dict[int, Page]:
    """These pages of a window, as far as there are any."""
    if not numbers:
        return {}
    ids = [_page_id(window_id, number) for number in numbers]
    return _pages(snapshot.find("SELECT id, units FROM best_seller_buckets WHERE id IN (:ids)", ids))


def read_whole_window(snapshot: Snapshot, window_id: int) -> dict[int, int]:
    """What of each product was sold, by all pages of a window."""
    rows = snapshot.rows("SELECT id, units FROM best_seller_buckets WHERE window_id = :window_id", window_id=window_id)
    return {
        product: units for number, page in _pages(rows).items() for product, units in products_of(number, page) if units
    }


def read_most(snapshot: Snapshot, window_id: int) -> list[tuple[int, int, int]]:
    """Of each page of a window: its number, the most of one product that it is found by, and the most that is on it."""
    rows = snapshot.rows(
        "SELECT id, max_units, units FROM best_seller_buckets WHERE window_id = :window_id", window_id=window_id
    )
    return [(_number(page_id), best, max(_read(sold), default=0)) for page_id, best, sold in rows]


def leading(rows: Iterable[Row], count: int) -> Leading:
    """A window's first pages, from the rows that were found where so many were asked for."""
    pages = _pages(rows)
    return Leading(pages, are_all=len(pages) < count)


def _page_id(window_id: int, number: int) -> int:
    return window_id << _NUMBER_BITS | _LARGEST_NUMBER - number


def _number(page_id: int) -> int:
    return _LARGEST_NUMBER - (page_id & _LARGEST_NUMBER)


def _pages(rows: Iterable[Row]) -> dict[int, Page]:
    return {_number(page_id): _read(sold) for page_id, sold in rows}
