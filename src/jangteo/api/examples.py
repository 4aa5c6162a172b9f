"""Examples of every body, result and refusal, for the documentation. A test decodes each as its type."""

from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from msgspec import Struct

from jangteo.api import bulk, coupons, orders, products, tokens, wallets
from jangteo.api.bodies import NoBody
from jangteo.api.health import Live
from jangteo.api.keys import CreatedKey, NewKey
from jangteo.core import refusals
from jangteo.core.coupons import CampaignStanding, HeldCoupon
from jangteo.core.entities import BestSeller, CatalogChange, LedgerEntry, Order, OrderItem, Product, StockMovement
from jangteo.core.health import Ready
from jangteo.core.keys import PRESETS, KeyStanding
from jangteo.core.orders import RequestedItem
from jangteo.core.wallets import CurrentBalance, UserBalance

_MONDAY: Final = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
_MONTH_LATER: Final = datetime(2026, 12, 23, 9, 0, tzinfo=UTC)

_ORDER: Final = orders.NewOrder(user_id=1, items=(RequestedItem(product_id=1, quantity=1),), coupon_id=1)

_KEY: Final[dict[str, Any]] = {
    "key_id": 1,
    "name": "storefront 1",
    "scopes": PRESETS["storefront"],
    "created_at": _MONDAY,
    "created_by": "cli",
    "ends_at": _MONTH_LATER,
    "revoked_at": None,
    "revoked_by": None,
    "last_used_at": None,
}

BODIES: Final[dict[type, Struct]] = {
    type(example): example
    for example in (
        bulk.BulkCall(call="POST /orders", key="first-order", body=msgspec.Raw(msgspec.json.encode(_ORDER))),
        NoBody(),
        wallets.NewUser(name="Kim Jangteo"),
        wallets.Charge(amount=50_000),
        products.NewProduct(name="Hallabong, 3 kg", price=24_000, stock=50),
        products.ProductChange(price=22_000),
        products.StockChange(quantity=30),
        coupons.NewCampaign(name="Opening week", quantity=50, discount=1_000, min_amount=5_000, coupon_valid_days=30),
        coupons.Claim(user_id=1, campaign_id=1),
        _ORDER,
        NewKey(name="storefront 1", scopes=PRESETS["storefront"]),
        tokens.NewToken(valid_seconds=3_600),
    )
}

RESULTS: Final[dict[Any, Any]] = {
    type(example): example
    for example in (
        bulk.BulkAnswer(status=201, body={"userId": 1, "balance": 50_000}),
        Live(),
        Ready(),
        UserBalance(user_id=1, balance=50_000),
        CurrentBalance(balance=50_000),
        LedgerEntry(1, 1, None, "charge", 50_000, 50_000, None, _MONDAY, "key:1"),
        Product(id=1, name="Hallabong, 3 kg", price=24_000, stock=50),
        BestSeller(id=1, name="Hallabong, 3 kg", price=24_000, stock=50, sold=312),
        CampaignStanding(
            campaign_id=1,
            name="Opening week",
            discount=1_000,
            percent=None,
            max_discount=None,
            min_amount=5_000,
            quantity=50,
            issued=1,
            remaining=49,
            opens_at=_MONDAY,
            closes_at=None,
            coupon_valid_days=30,
            created_at=_MONDAY,
        ),
        HeldCoupon(
            coupon_id=1,
            campaign_id=1,
            user_id=1,
            discount=1_000,
            percent=None,
            max_discount=None,
            min_amount=5_000,
            status="usable",
            claimed_at=_MONDAY,
            expires_at=_MONTH_LATER,
            order_id=None,
        ),
        Order(
            order_id=1,
            user_id=1,
            status="paid",
            items=(OrderItem(product_id=1, quantity=1, unit_price=24_000, amount=24_000),),
            amount=24_000,
            discount=1_000,
            total=23_000,
            coupon_id=1,
            created_at=_MONDAY,
            actor="key:1",
        ),
        StockMovement(1, 30, _MONDAY, "key:1", 1),
        CatalogChange("product", 1, "changed", {"price": 22_000}, _MONDAY, "key:1", 2),
        KeyStanding(**_KEY),
        tokens.CustomerToken(1, "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", _MONDAY),
        CreatedKey(**_KEY, key="jt_1_" + "A" * 43),
    )
}

REFUSALS: Final[dict[type, refusals.Refusal]] = {
    type(example): example
    for example in (
        refusals.UserNotFound(user_id=999),
        refusals.ProductNotFound(product_id=999),
        refusals.CampaignNotFound(campaign_id=999),
        refusals.OrderNotFound(order_id=999),
        refusals.KeyNotFound(key_id=999),
        refusals.NeverValid(field="endsAt", ends_at=_MONDAY),
        refusals.InvalidAmount(balance=50_000),
        refusals.InsufficientBalance(balance=500, required=23_000),
        refusals.OutOfStock(product_id=1, available=0, requested=1),
        refusals.InvalidCoupon(coupon_id=1, reason="below-minimum", amount=4_000, min_amount=5_000),
        refusals.CouponsSoldOut(campaign_id=1),
        refusals.CouponAlreadyClaimed(campaign_id=1, coupon_id=1),
        refusals.CampaignNotOpen(campaign_id=1, opens_at=_MONTH_LATER, closes_at=None),
        refusals.OrderAlreadyCancelled(order_id=1, cancelled_at=_MONDAY),
        refusals.NeverOpen(field="closesAt", opens_at=_MONTH_LATER, closes_at=_MONDAY),
        refusals.LimitExceeded(limit_of="balance"),
        refusals.KeyReused(),
    )
}
