"""Makes contenders: a server over HTTP, PostgreSQL by pgbench, and a bare commit on SQLite."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from subprocess import DEVNULL, Popen
from tempfile import TemporaryDirectory
from time import perf_counter

from bench.contenders.comparisons import ORDERS_A_REQUEST
from bench.contenders.postgres import Postgres
from bench.contenders.rounds import Contender
from bench.loads import pgbench, wrk
from bench.loads.load import Load, load_of


class Http:
    """Loads one URL over HTTP. Each run starts behind the users of the last one, so that nobody claims twice."""

    def __init__(self, address: str, path: str, script: str | None, connections: int, *, first_user: int = 1) -> None:
        self._url = address + path
        self._script = script
        self._connections = connections
        self._next_user = first_user

    def __call__(self, seconds: int) -> Load:
        """Run the load for so many seconds. Raises CannotMeasure."""
        first = self._next_user
        load = wrk.load(self._url, self._script, connections=self._connections, seconds=seconds, first_user=first)
        # Beyond the answered requests, wrk made one that is still in flight per connection, and one to inspect.
        self._next_user += load.requests + self._connections + 1
        return load


def orders(name: str, address: str, connections: int) -> Contender:
    """Orders of two items, by random users, of two random products."""
    return Contender(name, connections, Http(address, "/orders", "orders.lua", connections))


def one_product(name: str, address: str, connections: int) -> Contender:
    """Orders of the same product, by random users."""
    return Contender(name, connections, Http(address, "/orders", "one_product.lua", connections))


def claims(name: str, address: str, connections: int, first_user: int = 1) -> Contender:
    """Claims of one campaign's coupons, by the users from `first_user` on."""
    return Contender(name, connections, Http(address, "/coupons", "claims.lua", connections, first_user=first_user))


def reads(name: str, address: str, connections: int) -> Contender:
    """Reads of the product list."""
    return Contender(name, connections, Http(address, "/products", None, connections))


def balances(name: str, address: str, connections: int) -> Contender:
    """Reads of random users' balances."""
    return Contender(name, connections, Http(address, "", "balances.lua", connections))


def bulk(name: str, address: str, connections: int) -> Contender:
    """Orders as those of `orders`, many in each request; the figures count orders, and the times are a request's."""
    run = Http(address, "/bulk", "bulk.lua", connections)

    def count_orders(seconds: int) -> Load:
        load = run(seconds)
        return load._replace(
            requests=load.requests * ORDERS_A_REQUEST, requests_per_s=load.requests_per_s * ORDERS_A_REQUEST
        )

    return Contender(name, connections, count_orders)


def by_pgbench(name: str, postgres: Postgres, database: str, script: str, clients: int) -> Contender:
    """PostgreSQL without a shop in front of it: one transaction per run of the script `<script>.sql`."""
    return Contender(
        name,
        clients,
        lambda seconds: pgbench.load(postgres, database, f"{script}.sql", clients, seconds),
        warms_up=False,
    )


def bare_commit_of_sqlite(name: str, folder: Path) -> Contender:
    """One row per commit in SQLite, as durable as the shop's commits."""

    def run(seconds: int) -> Load:
        with TemporaryDirectory(dir=folder) as empty, closing(sqlite3.connect(Path(empty) / "bare.db")) as raw:
            raw.isolation_level = None
            raw.execute("PRAGMA journal_mode = WAL")
            raw.execute("PRAGMA synchronous = FULL")
            raw.execute("CREATE TABLE rows (value INTEGER)")
            times: list[float] = []
            began = perf_counter()
            while perf_counter() - began < seconds:
                before = perf_counter()
                raw.execute("INSERT INTO rows VALUES (1)")
                times.append((perf_counter() - before) * 1_000)
            return load_of(times, perf_counter() - began)

    return Contender(name, 1, run, warms_up=False)


@contextmanager
def one_customer_ordering(address: str) -> Iterator[None]:
    """One customer places order after order for as long as the block lasts."""
    command = wrk.command(f"{address}/orders", "one_product.lua", connections=1, seconds=3_600)
    with Popen(command, stdout=DEVNULL) as customer:
        try:
            yield
        finally:
            customer.terminate()
