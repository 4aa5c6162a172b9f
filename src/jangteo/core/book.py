"""The unit of work of one batch: the rows its commands name, and what the commands made of them.

The storage room loads a book and writes it back; the decisions read it and enter what they decide. A book decides
nothing itself.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Generic, TypeVar

from msgspec import Struct

from jangteo.core.entities import (
    Campaign,
    Coupon,
    Lease,
    LedgerEntry,
    LedgerKind,
    Order,
    Product,
    Refresh,
    StockMovement,
    Wallet,
)
from jangteo.core.events import Event

Row = TypeVar("Row")


class Shelf(Generic[Row]):
    """The rows of one kind, by id, as they stand now; and as they were loaded, where they have changed since."""

    __slots__ = ("loaded", "new_ids", "rows")

    def __init__(self) -> None:
        self.rows: dict[int, Row] = {}
        self.loaded: dict[int, Row | None] = {}
        self.new_ids: Iterator[int] = iter(())

    def fill(self, rows: Iterable[tuple[int, Row]]) -> None:
        """Put loaded rows on the shelf."""
        self.rows.update(rows)

    def get(self, row_id: int) -> Row | None:
        """The row as the commands so far have left it; None where the shop has none."""
        return self.rows.get(row_id)

    def put(self, row_id: int, row: Row) -> None:
        """Replace a row, or add a new one, remembering what was loaded."""
        if row_id not in self.loaded:
            self.loaded[row_id] = self.rows.get(row_id)
        self.rows[row_id] = row

    def added(self) -> list[Row]:
        """The rows that were not there when the book was loaded, in the order they came."""
        return [self.rows[row_id] for row_id, before in self.loaded.items() if before is None]

    def replaced(self) -> list[tuple[Row, Row]]:
        """What was loaded and what it has become, for each row that has changed."""
        return [(before, self.rows[row_id]) for row_id, before in self.loaded.items() if before is not None]


class Needs:
    """The keys that the commands of a batch name: what must be loaded before they can be decided."""

    def __init__(self) -> None:
        self.users: set[int] = set()
        self.products: set[int] = set()
        self.campaigns: set[int] = set()
        self.coupons: set[int] = set()
        self.orders: set[int] = set()
        self.claimants: set[int] = set()
        self.open_campaigns = 0
        """How many claims leave the campaign to the shop."""
        self.new_users = 0
        self.new_products = 0
        self.new_campaigns = 0
        self.new_coupons = 0
        self.new_orders = 0
        self.new_entries = 0
        self.relay_lease = False
        self.view_version = False

    def order(self, order: Order) -> None:
        """All that undoing this order touches."""
        self.users.add(order.user_id)
        self.products.update(item.product_id for item in order.items)
        if order.coupon_id is not None:
            self.coupons.add(order.coupon_id)


class Book:
    """All that one batch may read and change, at one moment."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.wallets: Shelf[Wallet] = Shelf()
        self.names: dict[int, str | None] = {}
        """The names that new users gave."""
        self.products: Shelf[Product] = Shelf()
        self.campaigns: Shelf[Campaign] = Shelf()
        self.coupons: Shelf[Coupon] = Shelf()
        self.claims: dict[tuple[int, int], int] = {}
        """(user, campaign) -> the coupon claimed."""
        self.orders: Shelf[Order] = Shelf()
        self.ledger: list[LedgerEntry] = []
        self.new_entry_ids: Iterator[int] = iter(())
        self.stock_movements: list[StockMovement] = []
        self.events: list[Event] = []
        self.new_event_ids: Iterator[int] = iter(())
        self.new_event_batch_ids: Iterator[int] = iter(())
        self.checked_at: datetime | None = None
        """When readiness was checked, if the batch checks it."""
        self.leases: Shelf[Lease] = Shelf()
        self.sent_event_batches: list[int] = []
        self.recorded: list[RecordedCommand] = []
        """Commands that storage writes as they are, in order."""
        self.view_version: Shelf[int] = Shelf()
        self.refreshes: list[Refresh] = []
        """Refreshes of the best sellers that apply to the version loaded."""

    def enter_balance(self, wallet: Wallet, kind: LedgerKind, amount: int, order_id: int | None) -> Wallet:
        """Change a balance the only way there is: with its ledger entry. The caller has checked that it may."""
        entry_id = next(self.new_entry_ids)
        after = Wallet(wallet.user_id, wallet.balance + amount, entry_id)
        self.wallets.put(wallet.user_id, after)
        self.ledger.append(
            LedgerEntry(entry_id, wallet.user_id, wallet.last_entry, kind, amount, after.balance, order_id, self.now)
        )
        return after


class Command(Struct, frozen=True, tag=True):
    """What a caller wants done. Every command names the rows it needs and decides itself against the book.

    Commands are one tagged union on their way to the writer: see `core.commands`.
    """

    def name_needs(self, needs: Needs) -> None:
        """Name the keys to load before `decide` is called; none unless a command says so."""

    def decide(self, book: Book) -> object:
        """Check everything, then change the book and return a result; or change nothing and return a `Refusal`."""
        raise NotImplementedError


class RecordedCommand(Command, frozen=True):
    """A command about which nothing is decided: storage writes what it says, in the order of the batch."""

    def decide(self, book: Book) -> None:
        """Records the command; never refused."""
        book.recorded.append(self)
