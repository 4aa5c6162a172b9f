"""The table of all HTTP calls: path, endpoint, who may make it, body, status, result, refusals.

The documentation at `/schema` is generated from it. Problems that any call may answer with are not repeated here:
malformed requests (400), callers who may not make it (401, 403), unknown paths and methods (404, 405), a reused key
(422), overload (503).
"""

from typing import Final

from jangteo.api import best_sellers, bulk, coupons, health, keys, orders, products, tokens, wallets
from jangteo.api.access.rules import ALWAYS, EACH_CALL, PUBLIC_READ, keys_with, own, own_order
from jangteo.api.bodies import NoBody, OptionalPaging, Paging
from jangteo.api.route import Route, answer, get, many, patch, post
from jangteo.core.coupons import CampaignStanding, HeldCoupon
from jangteo.core.entities import BestSeller, CatalogChange, LedgerEntry, Order, Product, StockMovement
from jangteo.core.health import Ready
from jangteo.core.keys import KeyStanding
from jangteo.core.refusals import (
    CampaignNotFound,
    CampaignNotOpen,
    CouponAlreadyClaimed,
    CouponsSoldOut,
    InsufficientBalance,
    InvalidAmount,
    InvalidCoupon,
    KeyNotFound,
    LimitExceeded,
    NeverOpen,
    NeverValid,
    OrderAlreadyCancelled,
    OrderNotFound,
    OutOfStock,
    ProductNotFound,
    UserNotFound,
)
from jangteo.core.wallets import CurrentBalance, UserBalance

# fmt: off
ROUTES: Final[tuple[Route, ...]] = (
    post("/users", wallets.register_user, keys_with("users"), wallets.NewUser, UserBalance),
    post("/users/{userId}/balance", wallets.charge_balance, keys_with("wallets:charge"), wallets.Charge, UserBalance,
         UserNotFound, InvalidAmount, malformed={"amount": InvalidAmount}),
    get("/users/{userId}/balance", wallets.read_balance, own("read"), CurrentBalance, UserNotFound),
    get("/users/{userId}/ledger", wallets.read_ledger, own("read"), list[LedgerEntry], UserNotFound, query=Paging),

    answer("/users/{userId}/tokens", tokens.create_token, keys_with("users"), tokens.NewToken, tokens.CustomerToken,
           UserNotFound),

    post("/products", products.add_product, keys_with("catalog"), products.NewProduct, Product),
    get("/products", products.list_products, PUBLIC_READ, list[Product], query=OptionalPaging),
    get("/products/top", best_sellers.list_best_sellers, PUBLIC_READ, list[BestSeller],
        query=best_sellers.BestSellersQuery),
    get("/products/{productId}", products.read_product, PUBLIC_READ, Product, ProductNotFound),
    patch("/products/{productId}", products.change_product, keys_with("catalog"), products.ProductChange, Product,
          ProductNotFound),
    post("/products/{productId}/stock", products.move_stock, keys_with("catalog"), products.StockChange, Product,
         ProductNotFound, OutOfStock, LimitExceeded),
    get("/products/{productId}/movements", products.list_movements, keys_with("read"), list[StockMovement],
        ProductNotFound, query=Paging),
    get("/products/{productId}/changes", products.list_changes, keys_with("read"), list[CatalogChange],
        ProductNotFound, query=Paging),

    post("/campaigns", coupons.start_campaign, keys_with("campaigns"), coupons.NewCampaign, CampaignStanding,
         NeverOpen),
    get("/campaigns", coupons.list_campaigns, PUBLIC_READ, list[CampaignStanding], query=Paging),
    get("/campaigns/{campaignId}", coupons.read_campaign, PUBLIC_READ, CampaignStanding, CampaignNotFound),
    get("/campaigns/{campaignId}/changes", coupons.list_changes_of_campaign, keys_with("read"), list[CatalogChange],
        CampaignNotFound, query=Paging),
    post("/coupons", coupons.claim_coupon, own("coupons:claim"), coupons.Claim, HeldCoupon,
         UserNotFound, CampaignNotFound, CampaignNotOpen, CouponAlreadyClaimed, CouponsSoldOut),
    get("/users/{userId}/coupons", coupons.list_coupons_of, own("read"), list[HeldCoupon], UserNotFound, query=Paging),

    post("/orders", orders.place_order, own("orders:place"), orders.NewOrder, Order,
         UserNotFound, ProductNotFound, InsufficientBalance, OutOfStock, InvalidCoupon),
    get("/orders/{orderId}", orders.read_order, own_order("read"), Order, OrderNotFound),
    post("/orders/{orderId}/cancel", orders.cancel_order, own_order("orders:cancel"), NoBody, Order,
         OrderNotFound, OrderAlreadyCancelled, LimitExceeded, status=200),
    get("/users/{userId}/orders", orders.list_orders_of, own("read"), list[Order], UserNotFound, query=Paging),

    many("/bulk", bulk.execute_calls, EACH_CALL, bulk.BulkCalls, list[bulk.BulkAnswer],
         body_max_bytes=bulk.BODY_MAX_BYTES),

    post("/keys", keys.create_key, keys_with("keys"), keys.NewKey, keys.CreatedKey, NeverValid),
    get("/keys", keys.list_keys, keys_with("keys"), list[KeyStanding], query=Paging),
    post("/keys/{keyId}/revoke", keys.revoke_key, keys_with("keys"), NoBody, KeyStanding, KeyNotFound, status=200),

    get("/health/live", health.live, ALWAYS, health.Live),
    get("/health/ready", health.ready, ALWAYS, Ready, timeout_s=3),
)
# fmt: on
