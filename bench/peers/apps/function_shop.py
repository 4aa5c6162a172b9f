"""PostgreSQL's stored functions behind the thinnest HTTP: what a shop in SQL is, seen from outside."""

import os
from typing import Any

import asyncpg

from bench.peers.apps.thin_http import Refused, ThinHttp

_PLACE = "SELECT place_order($1, $2, $3)"
_CLAIM = "SELECT claim_coupon($1, $2)"


class FunctionShop:
    """Calls one function for each request, prepared, from a pool of connections."""

    def __init__(self) -> None:
        self._pool: Any = None

    async def open(self) -> None:
        """Connect."""
        size = int(os.environ["PEER_CONNECTIONS"])
        self._pool = await asyncpg.create_pool(os.environ["PEER_DATABASE"], min_size=size, max_size=size)

    async def place(self, order: Any) -> object:
        """Place an order. Raises Refused."""
        items = order["items"]
        products, quantities = [each["productId"] for each in items], [each["quantity"] for each in items]
        return {"orderId": await self._call(_PLACE, order["userId"], products, quantities)}

    async def claim(self, claim: Any) -> object:
        """Claim a coupon. Raises Refused."""
        return {"couponId": await self._call(_CLAIM, claim["campaignId"], claim["userId"])}

    async def _call(self, sql: str, *values: object) -> object:
        try:
            return await self._pool.fetchval(sql, *values)
        except asyncpg.RaiseError as error:
            raise Refused(str(error)) from None


_shop = FunctionShop()
app = ThinHttp({"/orders": _shop.place, "/coupons": _shop.claim}, _shop.open)
