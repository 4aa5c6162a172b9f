"""Makes contenders: a server over HTTP, PostgreSQL by pgbench, and a bare commit on SQLite."""

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from subprocess import DEVNULL, Popen
from tempfile import TemporaryDirectory
from time import perf_counter

from bench.contenders.comparisons import ORDERS_A_REQUEST
from bench.contenders.postgres import Postgres
from bench.contenders.rounds import Contender
from bench.loads import clients, pgbench, wrk
from bench.loads.load import Load, load_of

CpuTime = Callable[[], Mapping[str, float]]


def _no_cpu_time() -> Mapping[str, float]:
    return {}


class Http:
    """Loads one URL over HTTP. Each run starts behind the users of the last one, so that nobody claims twice.

    `cpu_s` gives the processor time by role that the processes have used so far, in seconds.
    """

    def __init__(
        self,
        address: str,
        path: str,
        script: str | None,
        connections: int,
        *,
        first_user: int = 1,
        cpu_s: CpuTime = _no_cpu_time,
    ) -> None:
        self._url = address + path
        self._script = script
        self._connections = connections
        self._next_user = first_user
        self._cpu_s = cpu_s

    def __call__(self, seconds: int) -> Load:
        """Run the load for so many seconds. Raises CannotMeasure."""
        first = self._next_user
        # Beyond the answered requests, wrk made one that is still in flight per connection, and one to inspect.
        self._next_user += self._connections + 1
        before = self._cpu_s()
        load = wrk.load(self._url, self._script, connections=self._connections, seconds=seconds, first_user=first)
        used = {role: after - before.get(role, 0) for role, after in self._cpu_s().items()}
        self._next_user += load.requests
        return load._replace(cpu_us={role: cpu * 1_000_000 / load.requests for role, cpu in used.items()})


def orders(name: str, address: str, connections: int, *, cpu_s: CpuTime = _no_cpu_time) -> Contender:
    """Orders of two items, by random users, of two random products."""
    return Contender(name, connections, Http(address, "/orders", "orders.lua", connections, cpu_s=cpu_s))


def one_product(name: str, address: str, connections: int, *, cpu_s: CpuTime = _no_cpu_time) -> Contender:
    """Orders of the same product, by random users."""
    return Contender(name, connections, Http(address, "/orders", "one_product.lua", connections, cpu_s=cpu_s))


def claims(
    name: str, address: str, connections: int, first_user: int = 1, *, cpu_s: CpuTime = _no_cpu_time
) -> Contender:
    """Claims of one campaign's coupons, by the users from `first_user` on."""
    load = Http(address, "/coupons", "claims.lua", connections, first_user=first_user, cpu_s=cpu_s)
    return Contender(name, connections, load)


def counted_clients(name: str, address: str, connections: int) -> Contender:
    """Orders as `orders` places them, by clients that are counted one by one: slower, and measures fairness."""
    return Contender(name, connections, lambda seconds: clients.load(address, connections, seconds))


def reads(name: str, address: str, connections: int) -> Contender:
    """Reads of the product list."""
    return Contender(name, connections, Http(address, "/products", None, connections))


def one_product_read(name: str, address: str, connections: int) -> Contender:
    """Reads of one product."""
    return Contender(name, connections, Http(address, "/products/1", None, connections))


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
