"""The usual flash sale: Redis decides in a Lua script and answers; another process stores what it accepted."""

import os
from pathlib import Path
from typing import Any

from redis import asyncio as redis

from bench.peers.apps.thin_http import Refused, ThinHttp

_SCRIPTS = Path(__file__).parent


class RedisShop:
    """Runs one script for each request."""

    def __init__(self) -> None:
        pool: Any = redis.BlockingConnectionPool(
            port=int(os.environ["PEER_REDIS_PORT"]), max_connections=int(os.environ["PEER_CONNECTIONS"])
        )
        self._redis: Any = redis.Redis(connection_pool=pool)
        self._place: Any = self._redis.register_script((_SCRIPTS / "place_order.lua").read_text())
        self._claim: Any = self._redis.register_script((_SCRIPTS / "claim_coupon.lua").read_text())

    async def open(self) -> None:
        """Connect."""
        await self._redis.ping()

    async def place(self, order: Any) -> object:
        """Place an order. Raises Refused."""
        lines = [value for each in order["items"] for value in (each["productId"], each["quantity"])]
        order_id, total = _accepted(await self._place(args=[order["userId"], *lines]), 2)
        return {"orderId": order_id, "userId": order["userId"], "total": int(total)}

    async def claim(self, claim: Any) -> object:
        """Claim a coupon. Raises Refused."""
        (coupon_id,) = _accepted(await self._claim(args=[claim["campaignId"], claim["userId"]]), 1)
        return {"couponId": coupon_id}


def _accepted(reply: list[Any], length: int) -> list[Any]:
    if len(reply) != length or not isinstance(reply[0], int):
        raise Refused(reply[0].decode())
    return reply


_shop = RedisShop()
app = ThinHttp({"/orders": _shop.place, "/coupons": _shop.claim}, _shop.open)
