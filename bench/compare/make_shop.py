"""Makes one shop for all loads, by whichever state's code is on the path: `python -m bench.compare.make_shop URL N`."""

import sys
from itertools import chain

from bench.contenders import shops
from jangteo.core.coupons import StartCampaign
from jangteo.core.entities import CouponTerms
from jangteo.core.wallets import RegisterUser


def main() -> None:
    """Make the shop: buyers, products, one campaign, and users up to `N` who claim."""
    url, claimants = sys.argv[1], int(sys.argv[2])
    terms = CouponTerms(discount=3_000, percent=None, max_discount=None, min_amount=10_000)
    campaign = StartCampaign("Rush", terms, shops.PLENTY, opens_at=None, closes_at=None, coupon_valid_days=30)
    users = (RegisterUser(f"User {number}") for number in range(shops.BUYERS + 1, claimants + 1))
    shops.make(url, chain(shops.for_orders(), [campaign], users))


if __name__ == "__main__":
    main()
