"""The demo shop: fills an empty database by the shop's own commands, so that every rule and invariant holds."""

from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random
from typing import Final

from jangteo.core.book import Command
from jangteo.core.coupons import ClaimCoupon, StartCampaign
from jangteo.core.entities import CouponTerms
from jangteo.core.orders import CancelOrder, PlaceOrder, RequestedItem
from jangteo.core.products import AddProduct
from jangteo.core.wallets import ChargeBalance, RegisterUser
from jangteo.engine.batch import Submission, apply
from jangteo.engine.caller import CLI
from jangteo.storage import shop
from jangteo.storage.port import Session, Storage

ORDERS: Final = 240
_DAYS_OF_ORDERS: Final = timedelta(days=3)
_CANCELLED_EVERY: Final = 40
_SHARE_WITH_COUPON: Final = 0.1
_CHARGE: Final = 2_000_000
_USERS: Final = (
    "Kim Minji", "Lee Junho", "Park Seoyeon", "Choi Woojin", "Jung Haeun", "Kang Dohyun", "Yoon Jiwoo",
    "Lim Chaewon", "Han Jisoo", "Oh Taeyang", "Shin Yuna", "Seo Minjae", "Kwon Nari", "Hwang Jun",
    "Ahn Sora", "Song Hyun", "Ryu Dain", "Hong Gildong", "Bae Sumin", "Moon Areum",
)  # fmt: skip
_PRODUCTS: Final = (
    ("Hallabong tangerines, 3 kg", 24_000, 620),
    ("Shine Muscat grapes, 2 kg", 32_000, 480),
    ("Icheon rice, 10 kg", 41_000, 360),
    ("Napa cabbage kimchi, 5 kg", 36_500, 390),
    ("Hanwoo bulgogi, 600 g", 29_900, 250),
    ("Jeju black pork belly, 1 kg", 27_800, 270),
    ("Dried pollack, 10 pieces", 18_000, 110),
    ("Roasted seaweed, 20 packs", 9_900, 300),
    ("Gochujang, 1 kg", 12_500, 150),
    ("Doenjang, 1 kg", 11_000, 140),
    ("Perilla oil, 300 ml", 15_800, 95),
    ("Acacia honey, 1.2 kg", 26_000, 45),
    ("Yuja tea, 1 kg", 13_400, 130),
    ("Boseong green tea, 80 g", 17_000, 75),
    ("Red ginseng sticks, 30", 39_000, 40),
    ("Rice cakes with honey, 1 kg", 14_900, 85),
)


def fill(storage: Storage, clock: Callable[[], datetime]) -> bool:
    """Fill an empty database in one transaction. False, having changed nothing, if it isn't empty."""
    connection = storage.connect()
    try:
        now = clock()
        with connection.transaction() as session:
            if not shop.is_empty(session):
                return False
            _fill(session, now)
        return True
    finally:
        connection.close()


def _fill(session: Session, now: datetime) -> None:
    # A fixed seed: all demo shops are the same but for their dates.
    random = Random(5)  # noqa: S311 - nothing here is a secret
    opening = now - _DAYS_OF_ORDERS
    commands: list[Command] = [RegisterUser(name) for name in _USERS]
    commands += [AddProduct(*product) for product in _PRODUCTS]
    commands.append(StartCampaign("Opening week", CouponTerms(3_000, None, None, 20_000), 100, None, None, 30))
    commands += [ChargeBalance(user_id, _CHARGE) for user_id in range(1, len(_USERS) + 1)]
    commands += [ClaimCoupon(user_id, 1) for user_id in range(1, len(_USERS) // 2)]
    apply(session, [_submission(command) for command in commands], opening)
    for number in range(ORDERS):
        at = opening + (number + 1) * _DAYS_OF_ORDERS / (ORDERS + 1)
        apply(session, [_submission(_order(random))], at)
        if number % _CANCELLED_EVERY == 0:
            apply(session, [_submission(CancelOrder(number // 2 + 1))], at)


def _submission(command: Command) -> Submission:
    return Submission(command, actor=CLI.actor)


def _order(random: Random) -> PlaceOrder:
    user_id = random.randint(1, len(_USERS))
    # Some products sell much better than others.
    product_ids = {min(int(random.expovariate(0.25)), len(_PRODUCTS) - 1) + 1 for _ in range(random.randint(1, 3))}
    items = tuple(RequestedItem(product_id, random.randint(1, 2)) for product_id in sorted(product_ids))
    coupon_id = user_id if random.random() < _SHARE_WITH_COUPON and user_id < len(_USERS) // 2 else None
    return PlaceOrder(user_id, items, coupon_id)
