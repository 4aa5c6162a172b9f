"""Every call of Jangteo, on one screen: where, what endpoint, what goes in, what comes out, which refusals.

The documentation at `/schema` is made from this table. Malformed requests (400), an unknown path or method
(404, 405), a reused key (422) and overload (503) may answer any call, and are not repeated here.
"""

from typing import Final

from jangteo.api import best_sellers, coupons, health, orders, products, wallets
from jangteo.api.bodies import NoBody, Paging, WholeOrPaged
from jangteo.api.route import Route, get, patch, post
from jangteo.core import refusals as no
from jangteo.core.coupons import CampaignStanding, HeldCoupon
from jangteo.core.entities import BestSeller, LedgerEntry, Order, Product
from jangteo.core.health import Ready
from jangteo.core.wallets import CurrentBalance, UserBalance

# fmt: off
ROUTES: Final[tuple[Route, ...]] = (
    post("/users", wallets.register_user, wallets.NewUser, 201, UserBalance),
    post("/users/{userId}/balance", wallets.charge_balance, wallets.Charge, 201, UserBalance,
         no.UserNotFound, no.InvalidAmount, malformed={"amount": no.InvalidAmount}),
    get("/users/{userId}/balance", wallets.read_balance, CurrentBalance, no.UserNotFound),
    get("/users/{userId}/ledger", wallets.read_ledger, list[LedgerEntry], no.UserNotFound, query=Paging),

    post("/products", products.add_product, products.NewProduct, 201, Product),
    get("/products", products.list_products, list[Product], query=WholeOrPaged),
    get("/products/top", best_sellers.list_best_sellers, list[BestSeller], query=best_sellers.BestSellersQuery),
    get("/products/{productId}", products.read_product, Product, no.ProductNotFound),
    patch("/products/{productId}", products.change_product, products.ProductChange, Product, no.ProductNotFound),
    post("/products/{productId}/stock", products.move_stock, products.StockChange, 201, Product,
         no.ProductNotFound, no.OutOfStock, no.LimitExceeded),

    post("/campaigns", coupons.start_campaign, coupons.NewCampaign, 201, CampaignStanding),
    get("/campaigns", coupons.list_campaigns, list[CampaignStanding], query=Paging),
    get("/campaigns/{campaignId}", coupons.read_campaign, CampaignStanding, no.CampaignNotFound),
    post("/coupons", coupons.claim_coupon, coupons.Claim, 201, HeldCoupon,
         no.UserNotFound, no.CampaignNotFound, no.CampaignNotOpen, no.CouponAlreadyClaimed, no.CouponsSoldOut),
    get("/users/{userId}/coupons", coupons.list_coupons_of, list[HeldCoupon], no.UserNotFound, query=Paging),

    post("/orders", orders.place_order, orders.NewOrder, 201, Order,
         no.UserNotFound, no.ProductNotFound, no.InsufficientBalance, no.OutOfStock, no.InvalidCoupon),
    get("/orders/{orderId}", orders.read_order, Order, no.OrderNotFound),
    post("/orders/{orderId}/cancel", orders.cancel_order, NoBody, 200, Order,
         no.OrderNotFound, no.OrderAlreadyCancelled, no.LimitExceeded),
    get("/users/{userId}/orders", orders.list_orders_of, list[Order], no.UserNotFound, query=Paging),

    get("/health/live", health.live, health.Live),
    get("/health/ready", health.ready, Ready, within_s=3),
)
# fmt: on
