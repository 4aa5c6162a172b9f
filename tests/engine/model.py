"""A simple model of a shop in plain Python, one command at a time, with which the engine must agree.

It is written from the API's contract, not from core, and knows nothing of batches.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any


@dataclass
class Campaign:
    quantity: int
    discount: int
    holders: dict[int, int] = field(default_factory=dict)


@dataclass
class Order:
    user: int
    items: dict[int, int]
    total: int
    coupon: int | None
    at: datetime
    cancelled: bool = False


@dataclass
class Model:
    balances: dict[int, int] = field(default_factory=dict)
    ledger: dict[int, list[int]] = field(default_factory=dict)
    stock: dict[int, int] = field(default_factory=dict)
    prices: dict[int, int] = field(default_factory=dict)
    campaigns: dict[int, Campaign] = field(default_factory=dict)
    coupons: dict[int, tuple[int, int]] = field(default_factory=dict)
    used: set[int] = field(default_factory=set)
    orders: dict[int, Order] = field(default_factory=dict)
    events: list[str] = field(default_factory=list)

    def register(self) -> Any:
        user = len(self.balances) + 1
        self.balances[user] = 0
        self.ledger[user] = []
        return ("Wallet", user, 0)

    def charge(self, user: int, amount: int) -> Any:
        if user not in self.balances:
            return ("UserNotFound",)
        self._pay(user, amount)
        return ("Wallet", user, self.balances[user])

    def add_product(self, price: int, stock: int) -> Any:
        product = len(self.stock) + 1
        self.prices[product], self.stock[product] = price, stock
        return ("Product", product, stock)

    def move_stock(self, product: int, quantity: int) -> Any:
        if product not in self.stock:
            return ("ProductNotFound",)
        if self.stock[product] + quantity < 0:
            return ("OutOfStock",)
        self.stock[product] += quantity
        return ("Product", product, self.stock[product])

    def start_campaign(self, quantity: int, discount: int) -> Any:
        self.campaigns[len(self.campaigns) + 1] = Campaign(quantity, discount)
        return ("CampaignStanding", len(self.campaigns))

    def claim(self, user: int, campaign: int | None) -> Any:
        if user not in self.balances:
            return ("UserNotFound",)
        if campaign is None:
            available = [i for i, each in self.campaigns.items() if len(each.holders) < each.quantity]
            if not available:
                return ("CouponsSoldOut",)
            campaign = min(available)
        if campaign not in self.campaigns:
            return ("CampaignNotFound",)
        claimed = self.campaigns[campaign]
        if user in claimed.holders:
            return ("CouponAlreadyClaimed",)
        if len(claimed.holders) >= claimed.quantity:
            return ("CouponsSoldOut",)
        coupon = len(self.coupons) + 1
        self.coupons[coupon] = (user, campaign)
        claimed.holders[user] = coupon
        return ("HeldCoupon", coupon)

    def order(self, user: int, requested: list[tuple[int, int]], coupon: int | None, at: datetime) -> Any:
        if user not in self.balances:
            return ("UserNotFound",)
        items: dict[int, int] = {}
        for product, quantity in requested:
            items[product] = items.get(product, 0) + quantity
        if any(product not in self.stock for product in items):
            return ("ProductNotFound",)
        amount = sum(self.prices[product] * quantity for product, quantity in items.items())
        valid = coupon in self.coupons and self.coupons[coupon][0] == user and coupon not in self.used
        discount = min(amount, self.campaigns[self.coupons[coupon][1]].discount) if valid and coupon else 0
        if self.balances[user] < amount - discount:
            return ("InsufficientBalance",)
        if any(self.stock[product] < quantity for product, quantity in items.items()):
            return ("OutOfStock",)
        if coupon is not None and not valid:
            return ("InvalidCoupon",)
        number = len(self.orders) + 1
        self._pay(user, discount - amount)
        for product, quantity in items.items():
            self.stock[product] -= quantity
        if coupon is not None:
            self.used.add(coupon)
        self.orders[number] = Order(user, items, amount - discount, coupon, at)
        self.events.append(f"order-{number}-paid")
        return ("Order", number, amount - discount, "paid")

    def cancel(self, number: int) -> Any:
        if number not in self.orders:
            return ("OrderNotFound",)
        order = self.orders[number]
        if order.cancelled:
            return ("OrderAlreadyCancelled",)
        order.cancelled = True
        self._pay(order.user, order.total)
        for product, quantity in order.items.items():
            self.stock[product] += quantity
        if order.coupon is not None:
            self.used.discard(order.coupon)
        self.events.append(f"order-{number}-cancelled")
        return ("Order", number, order.total, "cancelled")

    def best_sellers(self, now: datetime) -> list[tuple[int, int]]:
        sold: dict[int, int] = {}
        for order in self.orders.values():
            if not order.cancelled and order.at > now - timedelta(days=3):
                for product, quantity in order.items.items():
                    sold[product] = sold.get(product, 0) + quantity
        return sorted(sold.items(), key=lambda entry: (-entry[1], entry[0]))[:5]

    def _pay(self, user: int, amount: int) -> None:
        self.balances[user] += amount
        self.ledger[user].append(amount)
