"""Placing and paying an order in one step, and cancelling it. Built on what wallets, stock and coupons allow."""

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


class RequestedItem(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """So many of one product. Lines of the same product add up."""

    product_id: Id
    quantity: PositiveCount


class PlaceOrder(Command, frozen=True):
    """Buy these lines and pay them from the balance, with a coupon if one is named."""

    user_id: Id
    items: Sequence[RequestedItem]
    coupon_id: Id | None

    def name_needs(self, needs: Needs) -> None:
        """The user, the products, the coupon, one new order and its ledger entry."""
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
        """The paid order. Refused with the first of UserNotFound, ProductNotFound, InsufficientBalance, OutOfStock,
        InvalidCoupon that holds.

        The balance must cover what is really paid: with a coupon that is valid, the amount less its discount.
        """
        wallet = book.wallets.get(self.user_id)
        if wallet is None:
            return UserNotFound(self.user_id)
        items = _price(self.items, book)
        if isinstance(items, ProductNotFound):
            return items
        amount = sum(item.amount for item in items)
        coupon, problem = self._coupon(book, amount)
        discount = discount_on(coupon.terms, amount) if coupon is not None and problem is None else 0
        total = amount - discount
        # An amount that no client could read exactly is refused as well, whatever a coupon takes off.
        if wallet.balance < total or not fits(amount):
            return InsufficientBalance(wallet.balance, total if fits(total) else None)
        short = _out_of_stock(items, book)
        if short is not None:
            return short
        if self.coupon_id is not None and problem is not None:
            return _invalid_coupon(self.coupon_id, problem, coupon, amount)

        # Every check is behind us: from here on the order must succeed.
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


class CancelOrder(Command, frozen=True):
    """Undo a paid order: the money, the stock and the coupon go back."""

    order_id: Id

    def name_needs(self, needs: Needs) -> None:
        """The order, one new ledger entry; what else it touches is known once it is loaded."""
        needs.orders.add(self.order_id)
        needs.new_entries += 1

    def decide(self, book: Book) -> Order | OrderNotFound | OrderAlreadyCancelled | LimitExceeded:
        """The cancelled order. Refused with OrderNotFound, OrderAlreadyCancelled, or LimitExceeded where the balance
        or a stock has grown so far meanwhile that the refund would lift it to 2^53.
        """
        order = book.orders.get(self.order_id)
        if order is None:
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

        # Every check is behind us: from here on the cancellation must succeed.
        cancelled = replace(order, status="cancelled", cancelled_at=book.now)
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
    """The lines at the prices of this moment, lines of the same product added up."""
    basket: dict[int, int] = {}
    for each in requested:
        basket[each.product_id] = basket.get(each.product_id, 0) + each.quantity
    items: list[OrderItem] = []
    for product_id, quantity in basket.items():
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
    moved = Product(product.id, product.name, product.price, product.stock + quantity)
    book.products.put(product.id, moved)


def _invalid_coupon(coupon_id: int, problem: CouponProblem, coupon: Coupon | None, amount: int) -> InvalidCoupon:
    if problem == "below-minimum" and coupon is not None:
        return InvalidCoupon(coupon_id, "below-minimum", amount, coupon.terms.min_amount)
    return InvalidCoupon(coupon_id, problem)
