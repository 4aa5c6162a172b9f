"""What the shop has given out, so that requests name what exists."""

from collections import deque
from random import Random
from typing import Any, Final, NamedTuple

from jangteo.api.route import Route
from jangteo.core.coupons import CampaignStanding, HeldCoupon
from jangteo.core.entities import Order, Product
from jangteo.core.wallets import UserBalance

_KEPT: Final = 400
_ID_FIELDS: Final = {
    UserBalance: "userId",
    Product: "id",
    CampaignStanding: "campaignId",
    HeldCoupon: "couponId",
    Order: "orderId",
}
_NAMES: Final = {Product: "productId"}


class Coupon(NamedTuple):
    """A coupon and whose it is."""

    coupon_id: int
    user_id: int


class Known:
    """The newest ids by their names in paths and bodies, and the coupons that may still be unused."""

    def __init__(self) -> None:
        names = ("userId", "productId", "campaignId", "couponId", "orderId")
        self._ids: dict[str, deque[int]] = {name: deque(maxlen=_KEPT) for name in names}
        self.coupons: deque[Coupon] = deque(maxlen=_KEPT)

    def learn(self, route: Route, result: dict[str, Any]) -> None:
        """Take the id of what a successful call made or changed."""
        field = _ID_FIELDS.get(route.result)
        if field is None:
            return
        ids = self._ids[_NAMES.get(route.result, field)]
        if result[field] not in ids:
            ids.append(result[field])
        if route.result is HeldCoupon:
            self.coupons.append(Coupon(result["couponId"], result["userId"]))

    def has(self, name: str) -> bool:
        """Whether an id of this name is known."""
        return bool(self._ids[name])

    def pick(self, name: str, random: Random) -> int:
        """Return one of the known ids; 1 if there is none."""
        ids = self._ids[name]
        return random.choice(ids) if ids else 1
