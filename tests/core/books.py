"""Books for the tests of core: small, in memory, as `storage.book` would load them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count

from jangteo.core.book import Book
from jangteo.core.entities import Campaign, Coupon, CouponTerms, Order, Product, Wallet

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
DAY = timedelta(days=1)
THOUSAND_OFF = CouponTerms(1_000, None, None, 0)


def book(
    wallets: dict[int, int] | None = None,
    products: dict[int, tuple[int, int]] | None = None,
    campaigns: tuple[Campaign, ...] = (),
    coupons: tuple[Coupon, ...] = (),
    orders: tuple[Order, ...] = (),
    now: datetime = NOW,
) -> Book:
    """`wallets`: user -> balance; `products`: id -> (price, stock)."""
    loaded = Book(now)
    loaded.wallets.fill((user, Wallet(user, balance)) for user, balance in (wallets or {}).items())
    loaded.products.fill(
        (i, Product(i, f"product {i}", price, stock)) for i, (price, stock) in (products or {}).items()
    )
    loaded.campaigns.fill((each.campaign_id, each) for each in campaigns)
    loaded.coupons.fill((each.coupon_id, each) for each in coupons)
    loaded.orders.fill((each.order_id, each) for each in orders)
    loaded.claims = {(each.user_id, each.campaign_id): each.coupon_id for each in coupons}
    for shelf in (loaded.wallets, loaded.products, loaded.campaigns, loaded.coupons, loaded.orders):
        shelf.new_ids = count(101)
    loaded.new_entry_ids = count(101)
    return loaded


def campaign(
    campaign_id: int = 1,
    quantity: int = 10,
    issued: int = 0,
    terms: CouponTerms = THOUSAND_OFF,
    opens_at: datetime = NOW - DAY,
    closes_at: datetime | None = None,
    valid_days: int | None = None,
) -> Campaign:
    return Campaign(campaign_id, "Opening", terms, quantity, issued, opens_at, closes_at, valid_days, NOW - DAY)


def coupon(
    coupon_id: int = 1,
    user_id: int = 1,
    terms: CouponTerms = THOUSAND_OFF,
    expires_at: datetime | None = None,
    order_id: int | None = None,
) -> Coupon:
    return Coupon(coupon_id, 1, user_id, terms, NOW - DAY, expires_at, order_id)


def changes(changed: Book) -> tuple[object, ...]:
    """All that a batch would write; equal to NO_CHANGES if nothing has changed."""
    shelves = (changed.wallets, changed.products, changed.campaigns, changed.coupons, changed.orders, changed.keys)
    lists = (changed.ledger, changed.stock_movements, changed.catalog_changes, changed.events)
    return (*[shelf.loaded for shelf in shelves], *lists)


NO_CHANGES: tuple[object, ...] = ({}, {}, {}, {}, {}, {}, [], [], [], [])
