"""The table of all HTTP calls: path, endpoint, body, status, result, refusals.

The documentation at `/schema` is generated from it. Problems that any call may answer with are not repeated here:
malformed requests (400), unknown paths and methods (404, 405), a reused key (422), overload (503).
"""

from typing import Final

from jangteo.api import best_sellers, bulk, coupons, health, orders, products, wallets
from jangteo.api.bodies import NoBody, OptionalPaging, Paging
from jangteo.api.route import Route, get, many, patch, post
from jangteo.core.coupons import CampaignStanding, HeldCoupon
from jangteo.core.entities import BestSeller, LedgerEntry, Order, Product
from jangteo.core.health import Ready
from jangteo.core.refusals import (
    CampaignNotFound,
    CampaignNotOpen,
    CouponAlreadyClaimed,
    CouponsSoldOut,
    InsufficientBalance,
    InvalidAmount,
    InvalidCoupon,
    LimitExceeded,
    NeverOpen,
    OrderAlreadyCancelled,
    OrderNotFound,
    OutOfStock,
    ProductNotFound,
    UserNotFound,
)
from jangteo.core.wallets import CurrentBalance, UserBalance

# fmt: off
ROUTES: Final[tuple[Route, ...]] = (
    post("/users", wallets.register_user, wallets.NewUser, 201, UserBalance),
    post("/users/{userId}/balance", wallets.charge_balance, wallets.Charge, 201, UserBalance,
         UserNotFound, InvalidAmount, malformed={"amount": InvalidAmount}),
    get("/users/{userId}/balance", wallets.read_balance, CurrentBalance, UserNotFound),
    get("/users/{userId}/ledger", wallets.read_ledger, list[LedgerEntry], UserNotFound, query=Paging),

    post("/products", products.add_product, products.NewProduct, 201, Product),
    get("/products", products.list_products, list[Product], query=OptionalPaging),
    get("/products/top", best_sellers.list_best_sellers, list[BestSeller], query=best_sellers.BestSellersQuery),
    get("/products/{productId}", products.read_product, Product, ProductNotFound),
    patch("/products/{productId}", products.change_product, products.ProductChange, Product, ProductNotFound),
    post("/products/{productId}/stock", products.move_stock, products.StockChange, 201, Product,
         ProductNotFound, OutOfStock, LimitExceeded),

    post("/campaigns", coupons.start_campaign, coupons.NewCampaign, 201, CampaignStanding, NeverOpen),
    get("/campaigns", coupons.list_campaigns, list[CampaignStanding], query=Paging),
    get("/campaigns/{campaignId}", coupons.read_campaign, CampaignStanding, CampaignNotFound),
    post("/coupons", coupons.claim_coupon, coupons.Claim, 201, HeldCoupon,
         UserNotFound, CampaignNotFound, CampaignNotOpen, CouponAlreadyClaimed, CouponsSoldOut),
    get("/users/{userId}/coupons", coupons.list_coupons_of, list[HeldCoupon], UserNotFound, query=Paging),

    post("/orders", orders.place_order, orders.NewOrder, 201, Order,
         UserNotFound, ProductNotFound, InsufficientBalance, OutOfStock, InvalidCoupon),
    get("/orders/{orderId}", orders.read_order, Order, OrderNotFound),
    post("/orders/{orderId}/cancel", orders.cancel_order, NoBody, 200, Order,
         OrderNotFound, OrderAlreadyCancelled, LimitExceeded),
    get("/users/{userId}/orders", orders.list_orders_of, list[Order], UserNotFound, query=Paging),

    many("/bulk", bulk.execute_calls, bulk.BulkCalls, list[bulk.BulkAnswer], body_max_bytes=bulk.BODY_MAX_BYTES),

    get("/health/live", health.live, health.Live),
    get("/health/ready", health.ready, Ready, timeout_s=3),
)
# fmt: on
