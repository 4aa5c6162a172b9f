"""What each constraint of orders and ledger costs: `python -m bench.constraints [--batches N]`.

Two copies of one shop, one of them without the constraint, commit the same batches in turns. The figure is the median
time of a batch with the constraint, divided by the median without it.
"""

import argparse
import random
import shutil
from collections.abc import Callable, Iterable
from contextlib import closing
from itertools import chain
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Final

from bench import postgres, shops
from bench.postgres import Postgres
from jangteo.app import system_clock
from jangteo.core.book import Command
from jangteo.core.coupons import ClaimCoupon, StartCampaign
from jangteo.core.entities import CouponTerms
from jangteo.core.orders import PlaceOrder, RequestedItem
from jangteo.core.products import AddProduct
from jangteo.core.wallets import ChargeBalance, RegisterUser
from jangteo.engine.batch import Failed, Submission, commit
from jangteo.storage.port import Connection
from jangteo.storage.urls import open_storage

USERS: Final = 50_000
PRODUCTS: Final = 1_000
BATCH: Final = 64
BATCHES: Final = 400
INDEXES: Final = (
    "orders_one_paid_per_coupon",
    "orders_one_per_payment",
    "ledger_entries_one_first",
    "ledger_entries_one_next",
)
DROP_KIND: Final = "ALTER TABLE ledger_entries DROP CONSTRAINT kind_known"


def main() -> None:
    """Measure every constraint on both databases and print a line for each."""
    options = argparse.ArgumentParser(prog="python -m bench.constraints", description=__doc__)
    options.add_argument("--batches", type=int, default=BATCHES, help="how many batches of 64 orders each shop commits")
    batches: int = options.parse_args().batches
    build = Path("build")
    build.mkdir(exist_ok=True)
    drops = [(f"DROP INDEX {index}", index) for index in INDEXES]
    every = ("; ".join(drop for drop, _ in drops), "all of these")
    with TemporaryDirectory(prefix="constraints-", dir=build) as folder, postgres.running() as server:
        on_sqlite = _on_sqlite(Path(folder))
        on_postgres = _on_postgres(server)
        for drop, name in [*drops, every]:
            print(f"{name:<28} SQLite     {on_sqlite(drop, batches)}", flush=True)
        for drop, name in [*drops, every, (DROP_KIND, "kind_known")]:
            print(f"{name:<28} PostgreSQL {on_postgres(drop, batches)}", flush=True)


def _on_sqlite(folder: Path) -> Callable[[str, int], str]:
    shops.make(f"sqlite:///{folder / 'shop.db'}", _commands())

    def measure(drop: str, batches: int) -> str:
        copies = [folder / "with.db", folder / "without.db"]
        for copy in copies:
            for old in folder.glob(f"{copy.name}*"):
                old.unlink()
            shutil.copy(folder / "shop.db", copy)
        return _compare([f"sqlite:///{copy}" for copy in copies], drop, batches)

    return measure


def _on_postgres(server: Postgres) -> Callable[[str, int], str]:
    shops.make(server.create("shop"), _commands())
    server.sync("shop")

    def measure(drop: str, batches: int) -> str:
        for copy in ("with_it", "without_it"):
            server.drop(copy)
        return _compare([server.create(copy, "shop") for copy in ("with_it", "without_it")], drop, batches)

    return measure


def _compare(urls: list[str], drop: str, batches: int) -> str:
    with closing(open_storage(urls[0]).connect()) as first, closing(open_storage(urls[1]).connect()) as second:
        with second.transaction() as session:
            for sql in drop.split("; "):
                session.run(sql)
        times: dict[Connection, list[float]] = {first: [], second: []}
        for number, batch in enumerate(_batches(batches)):
            # ABBA: neither is always the one that comes after the other.
            for connection in (first, second) if number % 2 else (second, first):
                started = perf_counter()
                outcomes = commit(connection, batch, system_clock).outcomes
                times[connection].append(perf_counter() - started)
                assert not any(isinstance(each, Failed) for each in outcomes)
    with_it, without_it = median(times[first]), median(times[second])
    return f"{with_it * 1000:.2f} ms with, {without_it * 1000:.2f} ms without: {with_it / without_it - 1:+.1%}"


def _commands() -> Iterable[Command]:
    """Users with money and a coupon each, and products of plenty of stock. Their ids count from 1."""
    terms = CouponTerms(discount=100, percent=None, max_discount=None, min_amount=0)
    users = range(1, USERS + 1)
    return chain(
        [StartCampaign("Rush", terms, shops.PLENTY, opens_at=None, closes_at=None, coupon_valid_days=30)],
        (AddProduct(f"Product {number}", 1_000, shops.PLENTY) for number in range(PRODUCTS)),
        (RegisterUser(None) for _ in users),
        (ChargeBalance(user, shops.PLENTY) for user in users),
        (ClaimCoupon(user, 1) for user in users),
    )


def _batches(count: int) -> Iterable[list[Submission]]:
    """Orders of one item with a coupon, each by another user, at random."""
    chosen = random.Random(7)
    users = list(range(1, USERS + 1))
    chosen.shuffle(users)
    for number in range(count):
        buyers = users[number * BATCH : (number + 1) * BATCH]
        yield [
            Submission(PlaceOrder(user, (RequestedItem(chosen.randint(1, PRODUCTS), 1),), user)) for user in buyers
        ]


if __name__ == "__main__":
    main()
