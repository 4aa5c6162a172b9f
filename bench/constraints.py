"""What each constraint of orders and ledger costs: `python -m bench.constraints [--batches N]`.

Two copies of one shop, one of them without the constraint, commit the same batches in turns. The figure is the median
of each batch's time with the constraint divided by its time without.
"""

import argparse
import random
import shutil
from collections.abc import Iterable
from contextlib import closing
from itertools import chain
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Final, NamedTuple

from bench.contenders import postgres, shops
from bench.contenders.postgres import Postgres
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
COPIES: Final = ("with_it", "without_it")


class Constraint(NamedTuple):
    """A constraint, the statements that remove it from one copy or add it to the other, and who uses coupons."""

    name: str
    drop: tuple[str, ...] = ()
    create: str | None = None
    coupon_every: int = 10
    """1: every order uses a coupon, 10: every tenth."""


FORK: Final = "CREATE UNIQUE INDEX ledger_entries_one_next ON ledger_entries (previous)"
INDEXES: Final = ("orders_one_paid_per_coupon", "orders_one_per_payment", "ledger_entries_one_first")
ON_BOTH: Final = (
    *(Constraint(index, (f"DROP INDEX {index}",)) for index in INDEXES),
    Constraint("all of these", tuple(f"DROP INDEX {index}" for index in INDEXES)),
    Constraint("one per coupon, all with one", (f"DROP INDEX {INDEXES[0]}",), coupon_every=1),
    Constraint("one next entry (left out)", create=FORK),
)
ON_POSTGRES: Final = (
    *ON_BOTH,
    # SQLite can't drop it.
    Constraint("kind_known", ("ALTER TABLE ledger_entries DROP CONSTRAINT kind_known",)),
)


def main() -> None:
    """Measure every constraint on both databases and print a line for each."""
    options = argparse.ArgumentParser(prog="python -m bench.constraints", description=__doc__)
    options.add_argument("--batches", type=int, default=BATCHES, help="how many batches of 64 orders each copy commits")
    batches: int = options.parse_args().batches
    build = Path("build")
    build.mkdir(exist_ok=True)
    with TemporaryDirectory(prefix="constraints-", dir=build) as folder, postgres.running() as server:
        shops.make(f"sqlite:///{folder}/shop.db", _commands())
        for constraint in ON_BOTH:
            _print("SQLite", constraint, _copies_on_sqlite(Path(folder)), batches)
        shops.make(server.create("shop"), _commands())
        server.sync("shop")
        for constraint in ON_POSTGRES:
            _print("PostgreSQL", constraint, _copies_on_postgres(server), batches)


def _copies_on_sqlite(folder: Path) -> list[str]:
    for old in folder.glob("copy-*"):
        old.unlink()
    return [f"sqlite:///{shutil.copy(folder / 'shop.db', folder / f'copy-{number}.db')}" for number in range(2)]


def _copies_on_postgres(server: Postgres) -> list[str]:
    for name in COPIES:
        server.drop(name)
    return [server.create(name, "shop") for name in COPIES]


def _print(database: str, constraint: Constraint, copies: list[str], batches: int) -> None:
    with_it, without_it = (open_storage(url).connect() for url in copies)
    with closing(with_it), closing(without_it):
        _run(without_it, constraint.drop)
        if constraint.create is not None:
            _run(with_it, [constraint.create])
        times: dict[Connection, list[float]] = {with_it: [], without_it: []}
        for number, batch in enumerate(_batches(batches, constraint.coupon_every)):
            # ABBA: neither is always the one that comes second.
            for connection in (with_it, without_it) if number % 2 else (without_it, with_it):
                started = perf_counter()
                outcomes = commit(connection, batch, system_clock).outcomes
                times[connection].append(perf_counter() - started)
                assert not any(isinstance(each, Failed) for each in outcomes)
    # Of neighbours, since on a busy machine one minute is twice as fast as the next.
    ratio = median(more / less for more, less in zip(times[with_it], times[without_it], strict=True))
    typical = median(times[without_it]) * 1000
    print(f"{database:<10} {constraint.name:<28} {typical:6.2f} ms a batch without, {ratio - 1:+.1%} with", flush=True)


def _run(connection: Connection, statements: Iterable[str]) -> None:
    with connection.transaction() as session:
        for sql in statements:
            session.run(sql)


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


def _batches(count: int, coupon_every: int) -> Iterable[list[Submission]]:
    """Orders of one item, each by another user, at random."""
    chosen = random.Random(7)
    users = list(range(1, USERS + 1))
    chosen.shuffle(users)
    for number in range(count):
        buyers = users[number * BATCH : (number + 1) * BATCH]
        yield [
            Submission(
                PlaceOrder(
                    user, (RequestedItem(chosen.randint(1, PRODUCTS), 1),), user if place % coupon_every == 0 else None
                )
            )
            for place, user in enumerate(buyers)
        ]


if __name__ == "__main__":
    main()
