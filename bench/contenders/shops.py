"""Makes the shops that are measured, in bulk by the shop's own commands, and audits them afterwards."""

import subprocess
import sys
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Final, NamedTuple

from bench.contenders.servers import environment
from jangteo.app import system_clock
from jangteo.core.book import Command
from jangteo.core.coupons import StartCampaign
from jangteo.core.entities import CouponTerms
from jangteo.core.products import AddProduct
from jangteo.core.wallets import ChargeBalance, RegisterUser
from jangteo.engine.batch import Submission, apply
from jangteo.storage.urls import open_storage

BUYERS: Final = 10_000
PRODUCTS: Final = 1_000
PRODUCTS_OF_LIST: Final = 100
PRODUCTS_OF_CATALOGUE: Final = 100_000
PRICE_IN_CATALOGUE: Final = 1_000
PLENTY: Final = 1_000_000_000_000
_BATCH: Final = 5_000


class AuditResult(NamedTuple):
    """The result of auditing one shop."""

    passed: bool
    output: str


def for_orders() -> Iterator[Command]:
    """Users and products with enough money and stock that no order is refused. Ids start at 1."""
    return chain(_buyers(), _products(PRODUCTS))


def for_claims(claimants: int) -> Iterator[Command]:
    """One campaign with enough coupons, and one user per claim, since a user may have one only. Ids start at 1."""
    terms = CouponTerms(discount=3_000, percent=None, max_discount=None, min_amount=10_000)
    return chain(
        [StartCampaign("Rush", terms, PLENTY, opens_at=None, closes_at=None, coupon_valid_days=30)],
        (RegisterUser(f"User {number}") for number in range(1, claimants + 1)),
    )


def for_list() -> Iterator[Command]:
    """As for orders, but with as few products as one list shows."""
    return chain(_buyers(), _products(PRODUCTS_OF_LIST))


def for_best_sellers() -> Iterator[Command]:
    """As for orders, but with a large catalogue in which every product has the same price."""
    return chain(
        _buyers(),
        (AddProduct(f"Product {number}", PRICE_IN_CATALOGUE, PLENTY) for number in range(1, PRODUCTS_OF_CATALOGUE + 1)),
    )


def make(url: str, commands: Iterable[Command]) -> str:
    """Make a shop in an empty database by these commands, and return its URL."""
    storage = open_storage(url)
    storage.prepare()
    connection = storage.connect()
    try:
        remaining = iter(commands)
        while batch := [Submission(command) for command in islice(remaining, _BATCH)]:
            with connection.transaction() as session:
                apply(session, batch, system_clock())
    finally:
        connection.close()
        storage.close()
    return url


def audit(url: str) -> AuditResult:
    """Run `jangteo audit`."""
    command = [sys.executable, "-m", "jangteo", "audit", "--database", url]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=environment())
    return AuditResult(ended.returncode == 0, ended.stdout + ended.stderr)


def _buyers() -> Iterator[Command]:
    return chain(
        (RegisterUser(f"User {number}") for number in range(1, BUYERS + 1)),
        (ChargeBalance(user_id, PLENTY) for user_id in range(1, BUYERS + 1)),
    )


def _products(count: int) -> Iterator[Command]:
    return (AddProduct(f"Product {number}", 900 + 100 * (number % 300), PLENTY) for number in range(1, count + 1))
