"""Orders: placing and paying one in a single step, and cancelling it."""

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from jangteo.core.book import Book, Command, Needs
from jangteo.core.coupons import discount_on, problem_with
from jangteo.core.entities import Coupon, Order, OrderItem, Product
from jangteo.core.events import order_cancelled, order_paid
from jangteo.core.limits import Id, PositiveCount, fits
from jangteo.core.refusals import (
    CouponProblem,
    InsufficientBalance,
    InvalidCoupon,
    LimitExceeded,
    OrderAlreadyCancelled,
    OrderNotFound,
    OutOfStock,
    ProductNotFound,
    UserNotFound,
)


class RequestedItem(Struct, frozen=True, rename="camel", forbid_unknown_fields=True, gc=False):
    """A quantity of one product. Items of the same product are added up."""

    product_id: Id
    quantity: PositiveCount


class PlaceOrder(Command, frozen=True, gc=False):
    """Buy these items and pay for them from the balance, with a coupon if one is named."""

    user_id: Id
    items: Sequence[RequestedItem]
    coupon_id: Id | None

    def name_needs(self, needs: Needs) -> None:
        """Need the user, the products, the coupon, one new order id and one new ledger entry id."""
        needs.users.add(self.user_id)
        for item in self.items:
            needs.products.add(item.product_id)
        if self.coupon_id is not None:
            needs.coupons.add(self.coupon_id)
        needs.new_orders += 1
        needs.new_entries += 1

    def decide(
        self, book: Book
    ) -> Order | UserNotFound | ProductNotFound | InsufficientBalance | OutOfStock | InvalidCoupon:
        """Place and pay the order.

        Refused with the first that applies of UserNotFound, ProductNotFound, InsufficientBalance, OutOfStock,
        InvalidCoupon. The balance must cover the total: the amount less the discount of a valid coupon.
        """
        wallet = book.wallets.get(self.user_id)
        if wallet is None:
            return UserNotFound(self.user_id)
        items = _price(self.items, book)
        if isinstance(items, ProductNotFound):
            return items
        amount = sum([item.amount for item in items])
        coupon, problem = self._coupon(book, amount)
        discount = discount_on(coupon.terms, amount) if coupon is not None and problem is None else 0
        total = amount - discount
        # An amount beyond the limit is refused whatever the coupon's discount: no client could read it exactly.
        if wallet.balance < total or not fits(amount):
            return InsufficientBalance(wallet.balance, total if fits(total) else None)
        shortage = _out_of_stock(items, book)
        if shortage is not None:
            return shortage
        if self.coupon_id is not None and problem is not None:
            return _invalid_coupon(self.coupon_id, problem, coupon, amount)

        # All checks have passed: from here on the order must succeed.
        order = Order(
            order_id=next(book.orders.new_ids),
            user_id=self.user_id,
            status="paid",
            items=tuple(items),
            amount=amount,
            discount=discount,
            total=total,
            coupon_id=self.coupon_id,
            created_at=book.now,
            actor=book.actor,
        )
        book.orders.put(order.order_id, order)
        book.enter_balance(wallet, "payment", -total, order.order_id)
        for item in items:
            _move_stock(book, book.products.rows[item.product_id], -item.quantity)
        if coupon is not None:
            book.coupons.put(coupon.coupon_id, replace(coupon, order_id=order.order_id))
        book.events.append(order_paid(order, book.now))
        return order

    def _coupon(self, book: Book, amount: int) -> tuple[Coupon | None, CouponProblem | None]:
        if self.coupon_id is None:
            return None, None
        coupon = book.coupons.get(self.coupon_id)
        return coupon, problem_with(coupon, self.user_id, amount, book.now)


class CancelOrder(Command, frozen=True, omit_defaults=True):
    """Cancel a paid order: refund the balance, return the stock, and make the coupon usable again."""

    order_id: Id
    customer_id: Id | None = None
    """The customer who cancels their own order; None: whoever may cancel any."""

    def name_needs(self, needs: Needs) -> None:
        """Need the order and one new ledger entry id; `Needs.order` adds the rest once the order is loaded."""
        needs.orders.add(self.order_id)
        needs.new_entries += 1

    def decide(self, book: Book) -> Order | OrderNotFound | OrderAlreadyCancelled | LimitExceeded:
        """Cancel the order.

        Refused with OrderNotFound, also where it is another customer's, OrderAlreadyCancelled, or LimitExceeded if the
        balance or a stock would reach 2^53.
        """
        order = book.orders.get(self.order_id)
        if order is None or self.customer_id not in (None, order.user_id):
            return OrderNotFound(self.order_id)
        if order.status == "cancelled":
            return OrderAlreadyCancelled(order.order_id, order.cancelled_at)
        wallet = book.wallets.rows[order.user_id]
        if not fits(wallet.balance + order.total):
            return LimitExceeded("balance")
        products = [book.products.rows[item.product_id] for item in order.items]
        for item, product in zip(order.items, products, strict=True):
            if not fits(product.stock + item.quantity):
                return LimitExceeded("stock")

        # All checks have passed: from here on the cancellation must succeed.
        cancelled = replace(order, status="cancelled", cancelled_at=book.now, cancelled_by=book.actor)
        book.orders.put(order.order_id, cancelled)
        book.enter_balance(wallet, "refund", order.total, order.order_id)
        for item, product in zip(order.items, products, strict=True):
            _move_stock(book, product, item.quantity)
        if order.coupon_id is not None:
            coupon = book.coupons.rows[order.coupon_id]
            book.coupons.put(coupon.coupon_id, replace(coupon, order_id=None))
        book.events.append(order_cancelled(cancelled, book.now))
        return cancelled


def _price(requested: Sequence[RequestedItem], book: Book) -> list[OrderItem] | ProductNotFound:
    """Return the items at current prices, with the quantities of each product added up."""
    quantities: dict[int, int] = {}
    for item in requested:
        quantities[item.product_id] = quantities.get(item.product_id, 0) + item.quantity
    items: list[OrderItem] = []
    for product_id, quantity in quantities.items():
        product = book.products.get(product_id)
        if product is None:
            return ProductNotFound(product_id)
        items.append(OrderItem(product_id, quantity, product.price, product.price * quantity))
    return items


def _out_of_stock(items: Sequence[OrderItem], book: Book) -> OutOfStock | None:
    for item in items:
        available = book.products.rows[item.product_id].stock
        if available < item.quantity:
            return OutOfStock(item.product_id, available, item.quantity if fits(item.quantity) else None)
    return None


def _move_stock(book: Book, product: Product, quantity: int) -> None:
    changed = Product(product.id, product.name, product.price, product.stock + quantity)
    book.products.put(product.id, changed)


def _invalid_coupon(coupon_id: int, problem: CouponProblem, coupon: Coupon | None, amount: int) -> InvalidCoupon:
    if problem == "below-minimum" and coupon is not None:
        return InvalidCoupon(coupon_id, "below-minimum", amount, coupon.terms.min_amount)
    return InvalidCoupon(coupon_id, problem)
