"""Orders and their items in SQL."""

from collections.abc import Collection, Iterable

from jangteo.core.actors import OPEN_ACTOR
from jangteo.core.book import Book
from jangteo.core.entities import Order, OrderItem
from jangteo.core.refusals import OrderNotFound, UserNotFound
from jangteo.storage import schema
from jangteo.storage.pagination import paginate
from jangteo.storage.port import GuardedChange, Insert, Page, Row, Session, Snapshot
from jangteo.storage.shared_reads import SharedRead, Steps
from jangteo.storage.timestamps import from_micros, from_micros_or_none, to_micros, to_micros_or_none
from jangteo.storage.wallets import find_user

_NEW_ORDERS = Insert(
    schema.orders,
    (
        "id",
        "user_id",
        "status",
        "amount",
        "discount",
        "total",
        "coupon_id",
        "payment_entry",
        "created_at",
        "cancelled_at",
        "actor",
        "cancelled_by",
    ),
)
_NEW_ITEMS = Insert(schema.order_items, ("order_id", "position", "product_id", "quantity", "unit_price"))
_STATUSES = GuardedChange(schema.orders, ("status", "cancelled_at", "cancelled_by"), ("status",))

_ORDER_COLUMNS = """
    id, user_id, status, amount, discount, total, coupon_id, created_at, cancelled_at, actor, cancelled_by
"""
_ITEM_COLUMNS = "order_items.order_id, product_id, quantity, unit_price"
_ITEMS_OF = f"SELECT {_ITEM_COLUMNS} FROM order_items WHERE order_id IN (:ids) ORDER BY order_id, position"
# Every order has a payment in its user's ledger, so the ledger's chain leads to a user's orders without another index.
_ORDERS_PAID = """
    WITH RECURSIVE chain AS (
        SELECT previous, order_id, kind, CASE kind WHEN 'payment' THEN 1 ELSE 0 END AS payments
        FROM ledger_entries WHERE id = CASE
            WHEN CAST(:after AS BIGINT) IS NULL THEN (SELECT last_entry FROM users WHERE id = :user_id)
            ELSE (SELECT previous FROM ledger_entries WHERE id = (
                SELECT payment_entry FROM orders WHERE id = :after AND user_id = :user_id
            ))
        END
        UNION ALL
        SELECT entry.previous, entry.order_id, entry.kind,
            payments + CASE entry.kind WHEN 'payment' THEN 1 ELSE 0 END
        FROM chain JOIN ledger_entries AS entry ON entry.id = chain.previous
        WHERE payments < :count
    )
    SELECT order_id FROM chain WHERE kind = 'payment'
"""


def load(session: Session, order_ids: Collection[int]) -> list[tuple[int, Order]]:
    """Load and lock the orders that exist, with their items."""
    rows = session.lock(schema.orders, f"SELECT {_ORDER_COLUMNS} FROM orders WHERE id IN (:ids) ORDER BY id", order_ids)
    item_rows = session.find(_ITEMS_OF, order_ids)
    items = _items_by_order(item_rows)
    return [(row[0], _order(row, items)) for row in rows]


def save(session: Session, book: Book) -> None:
    """Write cancellations, then new orders: a new one may use the coupon that a cancelled one gave back."""
    replaced = book.orders.replaced()
    if replaced:
        session.change(
            _STATUSES,
            [
                (after.status, to_micros_or_none(after.cancelled_at), after.cancelled_by, after.order_id, before.status)
                for before, after in replaced
            ],
        )
    added = book.orders.added()
    if added:
        at = to_micros(book.now)
        payments = {entry.order_id: entry.entry_id for entry in book.ledger if entry.kind == "payment"}
        session.insert(
            _NEW_ORDERS,
            [
                (
                    new.order_id,
                    new.user_id,
                    new.status,
                    new.amount,
                    new.discount,
                    new.total,
                    new.coupon_id,
                    payments[new.order_id],
                    at,
                    to_micros_or_none(new.cancelled_at),
                    new.actor,
                    new.cancelled_by,
                )
                for new in added
            ],
        )
        session.insert(
            _NEW_ITEMS,
            [
                (new.order_id, position, item.product_id, item.quantity, item.unit_price)
                for new in added
                for position, item in enumerate(new.items)
            ],
        )


@SharedRead
def read_order(snapshot: Snapshot, order_id: int, customer_id: int | None = None) -> Steps[Order | OrderNotFound]:
    """Read one order with its items; only a customer's own, if one is named."""
    found = snapshot.look_up(f"SELECT {_ORDER_COLUMNS} FROM orders WHERE id IN (:ids)", order_id)
    item_rows = snapshot.look_up(_ITEMS_OF, order_id)
    yield
    for row in found:
        order = _order(row, _items_by_order(item_rows))
        if customer_id in (None, order.user_id):
            return order
    return OrderNotFound(order_id)


@SharedRead
def read_orders_of(
    snapshot: Snapshot, user_id: int, limit: int, after: int | None
) -> Steps[Page[Order] | UserNotFound]:
    """Read a page of a user's orders, newest first, starting after the order `after`."""
    users = find_user(snapshot, user_id)
    values: dict[str, int | None] = {"user_id": user_id, "after": after, "count": limit + 1}
    rows = snapshot.send(f"SELECT {_ORDER_COLUMNS} FROM orders WHERE id IN ({_ORDERS_PAID}) ORDER BY id DESC", **values)
    item_rows = snapshot.send(
        f"SELECT {_ITEM_COLUMNS} FROM order_items WHERE order_id IN ({_ORDERS_PAID}) ORDER BY order_id, position",
        **values,
    )
    yield
    if not any(users):
        return UserNotFound(user_id)
    items = _items_by_order(item_rows)
    return paginate(list(rows), limit, lambda row: _order(row, items))


def _items_by_order(rows: Iterable[Row]) -> dict[int, list[OrderItem]]:
    items: dict[int, list[OrderItem]] = {}
    for order_id, product_id, quantity, unit_price in rows:
        item = OrderItem(product_id, quantity, unit_price, unit_price * quantity)
        items.setdefault(order_id, []).append(item)
    return items


def _order(row: Row, items: dict[int, list[OrderItem]]) -> Order:
    order_id, user_id, status, amount, discount, total, coupon_id, created_at, cancelled_at, actor, cancelled_by = row
    return Order(
        order_id=order_id,
        user_id=user_id,
        status=status,
        items=tuple(items.get(order_id, ())),
        amount=amount,
        discount=discount,
        total=total,
        coupon_id=coupon_id,
        created_at=from_micros(created_at),
        cancelled_at=from_micros_or_none(cancelled_at),
        actor=actor,
        # A version that knew no actors may have cancelled it.
        cancelled_by=OPEN_ACTOR if cancelled_at is not None and cancelled_by is None else cancelled_by,
    )
