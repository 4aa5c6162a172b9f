"""The contenders: makes each one's shop with the same facts, and says how durable its answers are."""

from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Final, NamedTuple

import psycopg

from bench.contenders import shops
from bench.contenders.postgres import Postgres
from bench.peers.stacks import Jangteo, Redis, Stack, Uvicorn
from jangteo.core.book import Command
from jangteo.core.coupons import StartCampaign
from jangteo.core.entities import CouponTerms
from jangteo.core.products import AddProduct
from jangteo.core.wallets import RegisterUser

SCARCE: Final = 50
"""The stock of the last product, which nobody orders under load."""
SCARCE_PRODUCT: Final = shops.PRODUCTS + 1
_PRODUCTS: Final = range(1, SCARCE_PRODUCT + 1)
_FIELDS: Final = 500
"""Of a hash, set by one command."""
_APPS: Final = Path(__file__).parent / "apps"
_ON_DISK: Final = "on disk before the answer"

Make = Callable[[Postgres, Path, str], Stack]
"""Makes a stack that isn't started: in a server, with files in a folder, under a name."""


class Peer(NamedTuple):
    """A contender: its name, what an acknowledged order survives, how to make and how to fill its stack."""

    name: str
    durability: str
    make: Make
    needs_redis: bool = False


def all_of(python: Path | None, claimants: int) -> Iterator[Peer]:
    """Jangteo, and the others if there is a Python with their packages."""
    yield from _ours(claimants)
    if python is not None:
        yield from _others(python, claimants)


def _ours(claimants: int) -> Iterator[Peer]:
    def on_sqlite(_: Postgres, folder: Path, name: str) -> Stack:
        return Jangteo(shops.make(f"sqlite:///{folder / name}.db", _commands(claimants)), folder / f"{name}.jsonl")

    def on_postgres(postgres: Postgres, folder: Path, name: str) -> Stack:
        return Jangteo(shops.make(postgres.create(name), _commands(claimants)), folder / f"{name}.jsonl")

    yield Peer("Jangteo on SQLite", _ON_DISK, on_sqlite)
    yield Peer("Jangteo on PostgreSQL", _ON_DISK, on_postgres)


def _others(python: Path, claimants: int) -> Iterator[Peer]:
    def fastapi(postgres: Postgres, _: Path, name: str) -> Stack:
        return Uvicorn(python, "fastapi_shop", _fill(postgres, name, claimants))

    def function(postgres: Postgres, _: Path, name: str) -> Stack:
        url = _fill(postgres, name, claimants)
        postgres.run_file(_APPS / "functions.sql", name)
        return Uvicorn(python, "function_shop", url)

    def redis(fsync: str) -> Make:
        return lambda postgres, folder, name: Redis(
            python, _fill(postgres, name, claimants), folder / name, fsync, _facts(claimants)
        )

    yield Peer("FastAPI, SQLAlchemy, asyncpg", _ON_DISK, fastapi)
    yield Peer("PostgreSQL's functions behind bare ASGI", _ON_DISK, function)
    everysec = "in Redis' memory; its log is synced every second, so a power failure loses up to 2 s of answers"
    yield Peer("Redis with Lua, everysec", everysec, redis("everysec"), needs_redis=True)
    yield Peer(
        "Redis with Lua, always", "in Redis' log on disk; in PostgreSQL later", redis("always"), needs_redis=True
    )


def _commands(claimants: int) -> Iterator[Command]:
    terms = CouponTerms(discount=3_000, percent=None, max_discount=None, min_amount=10_000)
    return chain(
        shops.for_orders(),
        [AddProduct("The last 50", _price(SCARCE_PRODUCT), SCARCE)],
        [StartCampaign("Rush", terms, shops.PLENTY, opens_at=None, closes_at=None, coupon_valid_days=30)],
        (RegisterUser(f"User {number}") for number in range(shops.BUYERS + 1, claimants + 1)),
    )


def _facts(claimants: int) -> Iterator[str]:
    yield from _hash("balances", {user: _balance(user) for user in range(1, claimants + 1)})
    yield from _hash("stocks", {product: _stock(product) for product in _PRODUCTS})
    yield from _hash("prices", {product: _price(product) for product in _PRODUCTS})
    yield from _hash("coupons_left", {1: shops.PLENTY})


def _hash(key: str, values: dict[int, int]) -> Iterator[str]:
    pairs = [f"{field} {value}" for field, value in values.items()]
    for first in range(0, len(pairs), _FIELDS):
        yield f"HSET {key} {' '.join(pairs[first : first + _FIELDS])}"


def _balance(user: int) -> int:
    return shops.PLENTY if user <= shops.BUYERS else 0


def _stock(product: int) -> int:
    return SCARCE if product == SCARCE_PRODUCT else shops.PLENTY


def _price(product: int) -> int:
    return 900 + 100 * (product % 300)


def _fill(postgres: Postgres, name: str, claimants: int) -> str:
    url = postgres.create(name)
    postgres.run_file(_APPS / "tables.sql", name)
    with psycopg.connect(url) as raw, raw.cursor() as cursor:
        with cursor.copy("COPY users FROM STDIN") as copy:
            for user in range(1, claimants + 1):
                copy.write_row((user, _balance(user)))
        with cursor.copy("COPY products FROM STDIN") as copy:
            for product in _PRODUCTS:
                copy.write_row((product, _price(product), _stock(product)))
        cursor.execute("INSERT INTO campaigns VALUES (1, %s)", [shops.PLENTY])
    postgres.sync(name)
    return url
