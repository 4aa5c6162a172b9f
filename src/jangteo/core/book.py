"""The unit of work of one batch: the rows its commands need, and what the commands changed.

`storage.book` loads a book and saves it; commands read it and enter their changes. A book decides nothing itself.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Generic, Literal, TypeVar

from msgspec import Struct

from jangteo.core.actors import OPEN_ACTOR
from jangteo.core.entities import (
    ApiKey,
    Campaign,
    CatalogChange,
    CatalogSubject,
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
    """The identity map of one kind of entity: the current rows by id, and the loaded ones of those that changed."""

    __slots__ = ("loaded", "new_ids", "rows")

    def __init__(self) -> None:
        self.rows: dict[int, Row] = {}
        self.loaded: dict[int, Row | None] = {}
        self.new_ids: Iterator[int] = iter(())

    def fill(self, rows: Iterable[tuple[int, Row]]) -> None:
        """Add loaded rows."""
        self.rows.update(rows)

    def get(self, row_id: int) -> Row | None:
        """Return the row with all changes made so far; None if there is no such row."""
        return self.rows.get(row_id)

    def put(self, row_id: int, row: Row) -> None:
        """Replace a row or add a new one; the first call for an id keeps the loaded row."""
        if row_id not in self.loaded:
            self.loaded[row_id] = self.rows.get(row_id)
        self.rows[row_id] = row

    def added(self) -> list[Row]:
        """Return the new rows, in the order they were added."""
        return [self.rows[row_id] for row_id, before in self.loaded.items() if before is None]

    def replaced(self) -> list[tuple[Row, Row]]:
        """Return (loaded, current) for each loaded row that changed."""
        return [(before, self.rows[row_id]) for row_id, before in self.loaded.items() if before is not None]


class Needs:
    """The keys that a batch's commands name: what must be loaded before they can be decided."""

    def __init__(self) -> None:
        self.users: set[int] = set()
        self.products: set[int] = set()
        self.campaigns: set[int] = set()
        self.coupons: set[int] = set()
        self.orders: set[int] = set()
        self.keys: set[int] = set()
        """API keys."""
        self.claimants: set[int] = set()
        """Users who claim a coupon."""
        self.open_campaigns = 0
        """How many claims name no campaign; each takes any open one."""
        self.new_users = 0
        self.new_products = 0
        self.new_campaigns = 0
        self.new_coupons = 0
        self.new_orders = 0
        self.new_entries = 0
        self.new_keys = 0
        self.relay_lease = False
        self.view_version = False

    def order(self, order: Order) -> None:
        """Add the rows that cancelling this order changes."""
        self.users.add(order.user_id)
        self.products.update(item.product_id for item in order.items)
        if order.coupon_id is not None:
            self.coupons.add(order.coupon_id)


class Book:
    """What one batch may read and change."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        """The timestamp of every change of this batch."""
        self.actor = OPEN_ACTOR
        """Who sent the command that is being decided: see `core.actors`."""
        self.wallets: Shelf[Wallet] = Shelf()
        self.names: dict[int, str | None] = {}
        """New users' names, by user id."""
        self.products: Shelf[Product] = Shelf()
        self.campaigns: Shelf[Campaign] = Shelf()
        self.coupons: Shelf[Coupon] = Shelf()
        self.claims: dict[tuple[int, int], int] = {}
        """(user id, campaign id) -> id of the claimed coupon."""
        self.orders: Shelf[Order] = Shelf()
        self.ledger: list[LedgerEntry] = []
        self.new_entry_ids: Iterator[int] = iter(())
        self.stock_movements: list[StockMovement] = []
        self.catalog_changes: list[CatalogChange] = []
        """Of products and campaigns, their beginnings included."""
        self.keys: Shelf[ApiKey] = Shelf()
        self.events: list[Event] = []
        self.new_event_ids: Iterator[int] = iter(())
        self.new_event_batch_ids: Iterator[int] = iter(())
        self.checked_at: datetime | None = None
        """When readiness was checked; None if the batch doesn't check it."""
        self.leases: Shelf[Lease] = Shelf()
        self.sent_event_batches: list[int] = []
        self.recorded: list[RecordedCommand] = []
        """Commands that storage writes as they are, in order of arrival."""
        self.view_version: Shelf[int] = Shelf()
        self.refreshes: list[Refresh] = []
        """Refreshes of the best sellers that apply to the version loaded."""

    def enter_balance(self, wallet: Wallet, kind: LedgerKind, amount: int, order_id: int | None) -> Wallet:
        """Change a balance and append its ledger entry. No other code changes a balance.

        The caller has checked that the new balance is within limits. Returns the new wallet.
        """
        entry_id = next(self.new_entry_ids)
        after = Wallet(wallet.user_id, wallet.balance + amount, entry_id)
        self.wallets.put(wallet.user_id, after)
        self.ledger.append(
            LedgerEntry(
                entry_id,
                wallet.user_id,
                wallet.last_entry,
                kind,
                amount,
                after.balance,
                order_id,
                self.now,
                self.actor,
            )
        )
        return after

    def move_stock(self, product_id: int, quantity: int) -> None:
        """Record that stock was added by hand, or removed where the quantity is negative."""
        self.stock_movements.append(StockMovement(product_id, quantity, self.now, self.actor))

    def record_change(
        self,
        subject: CatalogSubject,
        subject_id: int,
        kind: Literal["added", "changed"],
        values: dict[str, str | int | None],
    ) -> None:
        """Record what the command that is being decided sets of a product or a campaign."""
        self.catalog_changes.append(CatalogChange(subject, subject_id, kind, values, self.now, self.actor))


class Command(Struct, frozen=True, tag=True):
    """A change that a caller requests. Every command names the rows it needs and decides itself against the book.

    Commands are sent to the writer process as one tagged union: see `core.commands`.
    """

    def requested(self) -> "Command":
        """Return what the caller requested, without what was drawn at random for it: equal requests are equal."""
        return self

    def name_needs(self, needs: Needs) -> None:
        """Name the keys to load before `decide` is called; none by default."""

    def decide(self, book: Book) -> object:
        """Check everything, then change the book and return the result; or change nothing and return a `Refusal`."""
        raise NotImplementedError


class RecordedCommand(Command, frozen=True):
    """A command without a decision: storage writes it as it is, in the order of the batch."""

    def decide(self, book: Book) -> None:
        """Record the command; never refused."""
        book.recorded.append(self)
