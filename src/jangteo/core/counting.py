"""Counting what is sold, for the best sellers: in the same batches as the shop's commands.

Every batch notes what it has sold and given back (`storage.sales`). From time to time a step of the counting adds that
up in the windows that are kept, and takes out what has left them. A step is planned from a snapshot, and done only
where no other step was done since: so nothing is counted twice, and nothing is left out, whoever counts.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Final, Literal

from msgspec import Struct

from jangteo.core.book import Book, Command, Needs
from jangteo.core.entities import Order

THE_TALLY: Final = 1
"""There is one count of steps."""

State = Literal["backfilling", "active", "retired"]


class Window(Struct, frozen=True):
    """The last so many times 24 hours: what of each product was sold later than `since`, as far as it is counted."""

    window_id: int
    days: int
    since: datetime
    state: State
    """Being counted from the orders; whole; or given up, its pages to be removed."""
    started_at: datetime
    requested_at: datetime
    """About when a client last asked for it."""
    heartbeat_at: datetime | None = None
    """When whoever backfills it last gave a sign of life; None unless it is being backfilled."""


class WrittenPage(Struct, frozen=True):
    """A page of a window as it is stored."""

    page_id: int
    window_id: int
    best: int
    sold: str


class Step(Struct, frozen=True, omit_defaults=True):
    """What a step of the counting changes."""

    counted: tuple[int, ...] = ()
    """Notes of sales that are counted, and no longer needed."""
    new_windows: tuple[Window, ...] = ()
    changed_windows: tuple[Window, ...] = ()
    gone_windows: tuple[int, ...] = ()
    new_pages: tuple[WrittenPage, ...] = ()
    changed_pages: tuple[WrittenPage, ...] = ()
    gone_pages: tuple[int, ...] = ()


class Counted(Struct, frozen=True):
    """Whether the step was done: not where another one was done since it was planned."""

    done: bool


class CountSales(Command, frozen=True):
    """A step of the counting, and how many steps were done before it."""

    steps: int
    step: Step

    def name_needs(self, needs: Needs) -> None:
        """How many steps were done."""
        needs.view_version = True

    def decide(self, book: Book) -> Counted:
        """Never refused: the answer may be that it comes too late, and has changed nothing."""
        version = book.view_version
        if version.get(THE_TALLY) != self.steps:
            return Counted(done=False)
        version.put(THE_TALLY, self.steps + 1)
        book.refreshes.append(self.step)
        return Counted(done=True)


def sales_of(book: Book) -> Iterator[tuple[datetime, Order, Literal[1, -1]]]:
    """The orders that a batch has sold, and those that it has cancelled: each with the moment at which it was placed.

    At that moment a cancelled one was counted, and from it its time in a window goes.
    """
    for order in book.orders.added():
        if order.status == "paid":
            yield book.now, order, 1
    for _, order in book.orders.replaced():
        yield order.created_at, order, -1
