"""What the shop has given out, so that requests name what exists."""

from collections import deque
from random import Random
from typing import Any, Final, NamedTuple

from jangteo.api.keys import CreatedKey
from jangteo.api.route import Route
from jangteo.core.coupons import CampaignStanding, HeldCoupon
from jangteo.core.entities import Order, Product
from jangteo.core.keys import KeyStanding
from jangteo.core.wallets import UserBalance

_KEPT: Final = 400
_IDS: Final = {
    UserBalance: ("userId", "userId"),
    Product: ("productId", "id"),
    CampaignStanding: ("campaignId", "campaignId"),
    HeldCoupon: ("couponId", "couponId"),
    Order: ("orderId", "orderId"),
    CreatedKey: ("keyId", "keyId"),
    KeyStanding: ("keyId", "keyId"),
}
"""By the type of a result: the name of its id in paths and bodies, and the field that it is in."""


class Coupon(NamedTuple):
    """A coupon and whose it is."""

    coupon_id: int
    user_id: int


class Known:
    """The newest ids by their names in paths and bodies, and the coupons that may still be unused."""

    def __init__(self) -> None:
        self._ids: dict[str, deque[int]] = {name: deque(maxlen=_KEPT) for name, _ in _IDS.values()}
        self.coupons: deque[Coupon] = deque(maxlen=_KEPT)

    def learn(self, route: Route, result: dict[str, Any]) -> None:
        """Take the id of what a successful call made or changed."""
        if route.result not in _IDS:
            return
        name, field = _IDS[route.result]
        ids = self._ids[name]
        if result[field] not in ids:
            ids.append(result[field])
        if route.result is HeldCoupon:
            self.coupons.append(Coupon(result["couponId"], result["userId"]))

    def pick(self, name: str, random: Random) -> int:
        """Return one of the known ids; 1 if there is none."""
        ids = self._ids[name]
        return random.choice(ids) if ids else 1
