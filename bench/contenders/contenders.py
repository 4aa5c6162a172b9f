"""Who can be put under load: a server over HTTP, PostgreSQL by pgbench, and a bare commit of SQLite."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from subprocess import DEVNULL, Popen
from tempfile import TemporaryDirectory
from time import perf_counter

from bench.contenders.postgres import Postgres
from bench.contenders.rounds import Contender
from bench.loads import pgbench, wrk
from bench.loads.load import Load, load_of


class Http:
    """Requests over HTTP. No user is named twice where each may ask once only."""

    def __init__(self, address: str, path: str, script: str | None, connections: int, *, first_user: int = 1) -> None:
        self._url = address + path
        self._script = script
        self._connections = connections
        self._next_user = first_user

    def __call__(self, seconds: int) -> Load:
        """Load it."""
        first = self._next_user
        load = wrk.load(self._url, self._script, connections=self._connections, seconds=seconds, first_user=first)
        # More than what was answered: one on its way on each connection, and one that wrk makes to look at.
        self._next_user += load.requests + self._connections + 1
        return load


def orders(name: str, address: str, connections: int) -> Contender:
    """Orders of two lines, by any user, of any two products."""
    return Contender(name, connections, Http(address, "/orders", "orders.lua", connections))


def one_product(name: str, address: str, connections: int) -> Contender:
    """Everyone buys the same product."""
    return Contender(name, connections, Http(address, "/orders", "one_product.lua", connections))


def claims(name: str, address: str, connections: int, first_user: int = 1) -> Contender:
    """Everyone claims a coupon of one campaign, users from `first_user` on."""
    return Contender(name, connections, Http(address, "/coupons", "claims.lua", connections, first_user=first_user))


def reads(name: str, address: str, connections: int) -> Contender:
    """The list of products."""
    return Contender(name, connections, Http(address, "/products", None, connections))


def balances(name: str, address: str, connections: int) -> Contender:
    """Anyone looks at a balance."""
    return Contender(name, connections, Http(address, "", "balances.lua", connections))


def by_pgbench(name: str, postgres: Postgres, database: str, what: str, clients: int) -> Contender:
    """PostgreSQL without a shop before it: the script `what`, a transaction each time."""
    return Contender(
        name,
        clients,
        lambda seconds: pgbench.load(postgres, database, f"{what}.sql", clients, seconds),
        warms_up=False,
    )


def bare_commit_of_sqlite(name: str, folder: Path) -> Contender:
    """One row, one commit, flushed as the shop's are."""

    def run(seconds: int) -> Load:
        with TemporaryDirectory(dir=folder) as place, closing(sqlite3.connect(Path(place) / "bare.db")) as raw:
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
    """Somebody orders all the time meanwhile, one order after the other."""
    command = wrk.command(f"{address}/orders", "one_product.lua", connections=1, seconds=3_600)
    with Popen(command, stdout=DEVNULL) as customer:
        try:
            yield
        finally:
            customer.terminate()
