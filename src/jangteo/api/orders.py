"""Orders over HTTP."""

from typing import Annotated

from msgspec import UNSET, Meta

from jangteo.api.bodies import Body, NoBody, OwnId, given
from jangteo.core.entities import Order
from jangteo.core.limits import MAX_ORDER_ITEMS, Id
from jangteo.core.orders import CancelOrder, PlaceOrder, RequestedItem
from jangteo.core.refusals import OrderNotFound, UserNotFound
from jangteo.storage import orders
from jangteo.storage.port import Page, Query


class NewOrder(Body, kw_only=True):
    """The items to buy, and optionally a coupon to use. Items of the same product are added up."""

    user_id: OwnId = UNSET
    items: Annotated[tuple[RequestedItem, ...], Meta(min_length=1, max_length=MAX_ORDER_ITEMS)]
    coupon_id: Id | None = None


def place_order(body: NewOrder) -> PlaceOrder:
    """Place an order and pay for it from the user's balance."""
    return PlaceOrder(given(body.user_id), body.items, body.coupon_id)


def cancel_order(order_id: int, _: NoBody, *, customer_id: int | None = None) -> CancelOrder:
    """Cancel an order: the payment, the stock and the coupon are returned."""
    return CancelOrder(order_id, customer_id)


def read_order(order_id: int, *, customer_id: int | None = None) -> Query[Order | OrderNotFound]:
    """Read an order."""
    return Query(orders.read_order, (order_id, customer_id))


def list_orders_of(user_id: int, limit: int, after: int | None) -> Query[Page[Order] | UserNotFound]:
    """List a user's orders, newest first."""
    return Query(orders.read_orders_of, (user_id, limit, after), cost="page")
